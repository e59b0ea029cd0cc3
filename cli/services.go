package cli

import (
	"context"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/service"
)

// serve runs the services of the program, until ctx ends or what it returns is called, which waits for them to end. The farm is that
// of the newest session.
func (e *env) serve(ctx context.Context, f *runFlags, newest func() *session) (stop func()) {
	if e.app.Services == nil {
		return func() {}
	}
	set, first := &service.Set{}, newest()
	e.app.Services(set, func() *jobqueue.Group { return newest().Group })
	if m := e.exports.metrics; m != nil {
		m.Services(set)
	}
	o := service.Options{
		Domains: func() []string { return newest().farm.Domains() },
		Control: first.Control,
		Grace:   f.o.Grace,
		Logger:  first.log,
	}
	if o.Grace == 0 {
		o.Grace = -1
	}
	if f.domain != "" {
		list := []string{f.domain}
		o.Domains = func() []string { return list }
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := set.Run(ctx, o); err != nil {
			first.log.Error(err.Error())
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
