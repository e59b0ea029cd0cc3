//go:build unix

package handler_test

import (
	"context"
	"fmt"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// Jobs of one type are a program, which reads the job from its standard input.
func ExampleExec() {
	ctx := context.Background()
	var reg jobqueue.Registry
	mail := handler.Exec("grep", "-q", `"to":"ann@example.org"`)
	reg.Add(func() jobqueue.Job { return mail("mail") }, jobqueue.Policy{})
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New(), Policy: reg.Policy})
	g.Push(ctx, jobqueue.Spec{Type: "mail", Params: []byte(`{"to":"ann@example.org"}`)})
	res, err := runner.Run(ctx, g, &reg, nil)
	fmt.Println(res.Counts.Done, "done", err)
	// Output: 1 done <nil>
}
