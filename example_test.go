package jobqueue_test

import (
	"context"
	"fmt"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

type Greet struct{ Name string }

func (*Greet) Type() string { return "greet" }

func (g *Greet) Run(ctx context.Context) error {
	fmt.Println("hello,", g.Name)
	return nil
}

func Example() {
	ctx := context.Background()
	var reg jobqueue.Registry
	reg.Add(func() jobqueue.Job { return &Greet{} }, jobqueue.Policy{})
	g := jobqueue.NewGroup("mywiki", jobqueue.Routes{Default: queuememory.New(), Policy: reg.Policy})
	g.Push(ctx, jobqueue.Spec{Job: &Greet{Name: "world"}})
	result, err := runner.Run(ctx, g, &reg, nil)
	fmt.Println(result.Counts.Done, "done,", result.Reached, err)
	// Output:
	// hello, world
	// 1 done, none-ready <nil>
}
