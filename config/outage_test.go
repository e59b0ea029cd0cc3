package config_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// When the server of a farm dies, what is pushed is done all the same, and once it may be twice it is not.
func TestServerDies(t *testing.T) {
	server, err := redistest.Private()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	f := load(t, `
backends: {main: {kind: redis, url: "`+server.URL+`"}}
default: {fallback: inline}
types: {once: {atMostOnce: true}}
`)
	var ran, why []string
	f.Trace = &jobqueue.Trace{Inline: func(_ context.Context, c *jobqueue.Claim, reason string, _ time.Duration, err error) {
		why = append(why, reason)
	}}
	reg := &jobqueue.Registry{}
	for _, typ := range []string{"mail", "once"} {
		reg.Add(func() jobqueue.Job { return &told{typ, &ran} }, jobqueue.Policy{})
	}
	q, err := f.Open(t.Context(), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if pushed, err := q.Push(t.Context(), jobqueue.Spec{Type: "mail"}); err != nil || pushed.Stored() != 1 {
		t.Fatalf("pushed %+v, %v", pushed, err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	pushed, err := q.Push(t.Context(), jobqueue.Spec{Type: "mail"}, jobqueue.Spec{Type: "mail"}, jobqueue.Spec{Type: "once"})
	if !errors.Is(err, jobqueue.ErrUnavailable) || pushed.Ran() != 2 || pushed[0].Err != nil || pushed[2].Err == nil {
		t.Errorf("pushed %+v, %v", pushed, err)
	}
	if len(ran) != 2 || len(why) != 2 || why[0] != jobqueue.PushFailed {
		t.Errorf("ran %q because of %q", ran, why)
	}
}
