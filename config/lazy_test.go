package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// A store that is away when a farm is opened harms nothing but what needs it, and is used once it is there.
func TestAwayAtFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := load(t, `
backends: {main: {kind: sqlite, path: main.db}, other: {kind: sqlite, path: `+dir+`/other.db}}
default: {backend: main}
types: {mail: {backend: other}, urgent: {backend: other, fallback: inline}}
`)
	var ran []string
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &told{"urgent", &ran} }, jobqueue.Policy{})
	q, err := f.OpenBeside(reg, &config.Queues{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	push := func(typ string) (jobqueue.Pushed, error) { return q.Push(t.Context(), jobqueue.Spec{Type: typ}) }
	if pushed, err := push("note"); err != nil || pushed.Stored() != 1 {
		t.Errorf("the store that is there: pushed %+v, %v", pushed, err)
	}
	if _, err := push("mail"); !errors.Is(err, jobqueue.ErrUnavailable) || !strings.Contains(err.Error(), "backend other: ") {
		t.Errorf("the store that is away: %v, want an ErrUnavailable that names it", err)
	}
	if pushed, err := push("urgent"); err != nil || pushed.Ran() != 1 || len(ran) != 1 {
		t.Errorf("a job that falls back: pushed %+v, %v, ran %q", pushed, err, ran)
	}
	if errs := q.Reach(t.Context()); len(errs) != 1 || !errors.Is(errs["other"], jobqueue.ErrUnavailable) {
		t.Errorf("Reach = %v, want that other is away", errs)
	}
	if _, err := f.Open(t.Context(), reg); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Open = %v, which is to open all of them", err)
	}

	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err = push("mail"); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Errorf("a minute after it was there: %v", err)
	}
	if errs := q.Reach(t.Context()); len(errs) != 0 {
		t.Errorf("Reach = %v", errs)
	}
}

// What is in use elsewhere is the same store, whoever opens it first; what is closed stays so.
func TestOpenedLater(t *testing.T) {
	const text = "backends: {main: {kind: sqlite, path: main.db}, fed: {kind: federated, partitions: {m: 1}}, m: {kind: memory}}\ndefault: {backend: main, maxTries: %s}\ntypes: {a: {backend: fed}}\n"
	f := load(t, strings.Replace(text, "%s", "3", 1))
	one, err := f.OpenBeside(&jobqueue.Registry{}, &config.Queues{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := f.OpenBeside(&jobqueue.Registry{}, one)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"a", "b"} {
		if _, err := two.Push(t.Context(), jobqueue.Spec{Type: typ}); err != nil {
			t.Errorf("a store that was opened after the first who had it closed it: %v", err)
		}
		if n, err := two.Backend(typ).Counts(t.Context()); err != nil || len(n) != 1 {
			t.Errorf("Counts = %v, %v", n, err)
		}
	}
	three, err := f.OpenBeside(&jobqueue.Registry{}, &config.Queues{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(two.Close(), three.Close()); err != nil {
		t.Fatal(err)
	}
	for _, q := range []*config.Queues{two, three} {
		if _, err := q.Push(t.Context(), jobqueue.Spec{Type: "b"}); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Push = %v after Close, want an ErrUnavailable", err)
		}
	}
}

// Whoever does not wait for a store is told so.
func TestReachEnds(t *testing.T) {
	f := load(t, "backends: {main: {kind: sqlite, path: main.db}}")
	q, err := f.OpenBeside(&jobqueue.Registry{}, &config.Queues{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if errs := q.Reach(ctx); len(errs) == 1 && !errors.Is(errs["main"], context.Canceled) {
		t.Errorf("Reach = %v, want nothing or that it was not waited for", errs)
	}
	if _, err := q.Push(t.Context(), jobqueue.Spec{Type: "a"}); err != nil {
		t.Error(err)
	}
}
