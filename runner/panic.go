package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/wikifarm/jobqueue"
)

var errGoexit = errors.New("the job called runtime.Goexit")

// Call runs a job where there is no runner, in a goroutine of its own, and returns its error.
// A panic is an error that says where, and so is a call of [runtime.Goexit]. A middleware, which
// may be nil, is called as [Options].Middleware is; the claim that
// [jobqueue.FromContext] finds is the caller's to put into ctx.
func Call(ctx context.Context, job jobqueue.Job, middleware func(context.Context, jobqueue.Job, func(context.Context) error) error) error {
	err := errGoexit
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = guard(func() error {
			if middleware != nil {
				return middleware(ctx, job, job.Run)
			}
			return job.Run(ctx)
		})
	}()
	<-done
	return err
}

// guard calls what others wrote. A panic is an error. A Goexit still ends the goroutine:
// what must happen all the same is deferred, or done by the next goroutine.
func guard(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return call()
}

// panicked returns the error of a panic that was recovered, with where it happened on one line:
// an error is shown in places that have no more.
func panicked(p any) error {
	if at := trace(); at != "" {
		return fmt.Errorf("panic: %v (at %s)", p, at)
	}
	return fmt.Errorf("panic: %v", p)
}

const mostFrames = 30

// here is the beginning of the names of the functions of this package.
var here = reflect.TypeFor[run]().PkgPath() + "."

// trace lists the calls that led to the panic which is being recovered, the last one first, as far
// as they are not the runner's own.
func trace() string {
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	var calls []string
	for panics := false; ; {
		f, more := frames.Next()
		switch {
		case !panics && more:
			panics = f.Function == "runtime.gopanic" // what is before it recovers
		case strings.HasPrefix(f.Function, "runtime."):
		case strings.HasPrefix(f.Function, here) || !more:
			return strings.Join(calls, " < ")
		case len(calls) == mostFrames:
			return strings.Join(calls, " < ") + " < …"
		default:
			calls = append(calls, fmt.Sprintf("%s %s:%d", f.Function, filepath.Base(f.File), f.Line))
		}
	}
}
