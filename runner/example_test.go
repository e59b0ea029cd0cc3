package runner_test

import (
	"context"
	"fmt"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

type greet struct{ Name string }

func (*greet) Type() string { return "greet" }

func (g *greet) Run(ctx context.Context) error {
	fmt.Println("hello", g.Name, "of", jobqueue.FromContext(ctx).Domain)
	return nil
}

func Example() {
	var reg jobqueue.Registry
	reg.Add(func() jobqueue.Job { return &greet{} }, jobqueue.Policy{})
	group := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New()})
	ctx := context.Background()
	if _, err := group.Push(ctx, jobqueue.Spec{Job: &greet{"World"}}); err != nil {
		fmt.Println(err)
	}
	res, err := runner.Run(ctx, group, &reg, nil)
	fmt.Println(res.Reached, res.Counts.Done, err)
	// Output:
	// hello World of enwiki
	// none-ready 1 <nil>
}
