package main

import (
	"context"

	"github.com/wikifarm/jobqueue"
)

// A greet answers an entry.
type greet struct {
	Entry int64
	book  *book
}

func (*greet) Type() string { return "greet" }

func (j *greet) Run(ctx context.Context) error { return j.book.greet(ctx, j.Entry) }

// A count counts the entries of its domain.
type count struct{ book *book }

func (*count) Type() string { return "count" }

func (j *count) Run(ctx context.Context) error {
	return j.book.count(ctx, jobqueue.FromContext(ctx).Domain)
}
