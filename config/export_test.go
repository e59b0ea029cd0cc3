package config

import (
	"context"
	"io"

	"github.com/wikifarm/jobqueue"
)

// Lazy is a backend that is opened when it is first used.
func Lazy(open func(context.Context) (jobqueue.Backend, io.Closer, error)) interface {
	jobqueue.Backend
	io.Closer
} {
	return newLazy("main", open)
}
