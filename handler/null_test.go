package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
)

func TestNullParameters(t *testing.T) {
	for in, want := range map[string]handler.NullJob{
		`{}`:                                {},
		`{"sleep":"1m30s","lives":4}`:       {Sleep: handler.Sleep(90 * time.Second), Lives: 4},
		`{"sleep":50,"dedupe":true}`:        {Sleep: handler.Sleep(50 * time.Millisecond), Dedupe: true},
		`{"sleep":0.5,"usleep":7,"note":1}`: {},
		`{"sleep":0.5,"usleep":7}`:          {Sleep: handler.Sleep(500 * time.Microsecond), USleep: 7},
		`{"sleep":true}`:                    {},
		`{"sleep":"soon"}`:                  {},
	} {
		var got handler.NullJob
		err := json.Unmarshal([]byte(in), &got)
		if bad := want == (handler.NullJob{}) && in != `{}`; bad != (err != nil) {
			t.Errorf("%s: error %v, want one: %v", in, err, bad)
		} else if err == nil && got != want {
			t.Errorf("%s = %+v, want %+v", in, got, want)
		}
	}
}

func TestNullSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		job := &handler.NullJob{Sleep: handler.Sleep(time.Second), USleep: 500_000}
		if err := job.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("slept %v, want 1.5s", d)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		lost := errors.New("lost")
		cancel(lost)
		if err := job.Run(ctx); err != lost {
			t.Errorf("Run = %v, want the cause %v", err, lost)
		}
	})
}

// TestNullLives runs a job of three lives to its end, on a domain that is not
// the group's home.
func TestNullLives(t *testing.T) {
	ctx := t.Context()
	var reg jobqueue.Registry
	g := jobqueue.NewGroup("home", jobqueue.Routes{Default: queuememory.New()})
	reg.Add(handler.Null(g), jobqueue.Policy{})
	root := jobqueue.Root{Key: "k", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	_, err := g.Push(ctx, jobqueue.Spec{
		Type: "null", Domain: "away", Params: json.RawMessage(`{"lives":3,"dedupe":true}`),
		Root: root, Headers: map[string]string{"a": "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		claims, err := g.On("away").Queue("null").Pop(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) == 0 {
			break
		}
		for _, c := range claims {
			if !c.Root.Time.Equal(root.Time) || c.Root.Key != root.Key || c.Headers["a"] != "b" {
				t.Errorf("%s: root %v, headers %v, want %v and those of the first", c.Params, c.Root, c.Headers, root)
			}
			got = append(got, string(c.Params))
			job, err := reg.Job(c)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Settle(ctx, g.Outcome(c, job.Run(jobqueue.NewContext(ctx, c)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{`{"lives":3,"dedupe":true}`, `{"lives":2,"dedupe":true}`, `{"lives":1,"dedupe":true}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}
