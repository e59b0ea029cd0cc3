package cli_test

import (
	"context"
	"errors"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/service"
)

// services adds those of the program keeper: a link for each domain, one that fails, and one that pushes now and then.
func services(set *service.Set, group func() *jobqueue.Group) {
	set.Add(service.Service{Name: "link", PerDomain: true, Run: func(ctx context.Context, domain string) error {
		if err := write("links", domain+" begins\n"); err != nil {
			return err
		}
		<-ctx.Done()
		return write("links", domain+" ends: "+context.Cause(ctx).Error()+"\n")
	}})
	set.Add(service.Service{Name: "flaky", Run: func(context.Context, string) error { return errors.New("no peer") }})
	set.Add(service.Service{Name: "digest", Every: 50 * time.Millisecond, Run: func(ctx context.Context, _ string) error {
		_, err := group().Push(ctx, jobqueue.Spec{Domain: "enwiki", Type: "greet", Params: []byte(`{"Name":"digest"}`), Dedupe: true})
		return err
	}})
}

// A video takes an hour, and so never runs where it is pushed.
type video struct{}

func (*video) Type() string              { return "video" }
func (*video) Run(context.Context) error { return nil }

// registerVideo adds the job types of the program keeper.
func registerVideo(reg *jobqueue.Registry, g *jobqueue.Group) error {
	reg.Add(func() jobqueue.Job { return &video{} }, jobqueue.Policy{NeverInline: true})
	return register(reg, g)
}
