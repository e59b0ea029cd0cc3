package queuetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

var (
	name = jobqueue.Name{Domain: "wiki", Type: "work"}
	all  = jobqueue.Filter{States: jobqueue.States()}
)

// calls is every method of a backend that Faulty lets fail, by what fail is told.
var calls = map[string]func(ctx context.Context, b jobqueue.Backend) error{
	"push": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Push(ctx, uuid.New(), []jobqueue.Record{{Name: name, Params: []byte(`{}`)}})
		return err
	},
	"pop": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Pop(ctx, jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, jobqueue.Want{Name: name, Max: 1})
		return err
	},
	"settle": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Settle(ctx)
		return err
	},
	"extend": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Extend(ctx, time.Minute)
		return err
	},
	"markroots": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.MarkRoots(ctx, jobqueue.Mark{Name: name, Key: "k", Time: time.Now()})
		return err
	},
	"counts": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Counts(ctx)
		return err
	},
	"ready": func(ctx context.Context, b jobqueue.Backend) error {
		for _, err := range b.Ready(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"list": func(ctx context.Context, b jobqueue.Backend) error {
		for _, err := range b.List(ctx, all) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"delete": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Delete(ctx, all)
		return err
	},
	"requeue": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Requeue(ctx, all)
		return err
	},
	"maintain": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.Maintain(ctx)
		return err
	},
	"values": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.(jobqueue.Control).Values(ctx, "")
		return err
	},
	"setvalue": func(ctx context.Context, b jobqueue.Backend) error {
		_, ok, err := b.(jobqueue.Control).SetValue(ctx, jobqueue.Value{Key: "k", Data: []byte("x"), Version: jobqueue.AnyVersion})
		if ok != (err == nil) {
			return fmt.Errorf("%v beside the error %w", ok, err)
		}
		return err
	},
	"charge": func(ctx context.Context, b jobqueue.Backend) error {
		_, err := b.(jobqueue.Limiter).Charge(ctx, jobqueue.Charge{Key: "k", Items: 1, PerSecond: 1})
		return err
	},
	"wait": func(ctx context.Context, b jobqueue.Backend) error {
		ctx, cancel := context.WithTimeout(ctx, time.Microsecond)
		defer cancel()
		if _, err := b.(jobqueue.Waiter).Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	},
}

func TestFaultyEveryCall(t *testing.T) {
	broken := errors.New("broken")
	for op, do := range calls {
		var failing error
		b := queuetest.Faulty(queuememory.New(), func(called string) error {
			if called == op {
				return failing
			}
			return nil
		})
		if err := do(t.Context(), b); err != nil {
			t.Errorf("%s without a fault = %v", op, err)
		}
		if failing = broken; !errors.Is(do(t.Context(), b), broken) {
			t.Errorf("%s does not fail before its effect", op)
		}
		if failing = queuetest.After(broken); op != "wait" && !errors.Is(do(t.Context(), b), broken) {
			t.Errorf("%s does not fail after its effect", op)
		}
	}
}

func TestFaultyBeforeAndAfter(t *testing.T) {
	away := fmt.Errorf("%w: away", jobqueue.ErrUnavailable)
	for _, tt := range []struct {
		fail  error
		ready int
	}{{away, 0}, {queuetest.After(away), 1}} {
		store := queuememory.New()
		b := queuetest.Faulty(store, func(string) error { return tt.fail })
		if err := calls["push"](t.Context(), b); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Push = %v, want ErrUnavailable", err)
		}
		counts, err := store.Counts(t.Context(), name)
		if err != nil || counts[0].Ready != tt.ready {
			t.Errorf("with %v, %d jobs are stored, %v, want %d", tt.fail, counts[0].Ready, err, tt.ready)
		}
	}
}

// Ready and List yield all there is before a failure that comes after.
func TestFaultySequence(t *testing.T) {
	broken := errors.New("broken")
	store := queuememory.New()
	if err := calls["push"](t.Context(), store); err != nil {
		t.Fatal(err)
	}
	b := queuetest.Faulty(store, func(string) error { return queuetest.After(broken) })
	var found int
	var failed error
	for e, err := range b.List(t.Context(), all) {
		if failed = err; err == nil && e.Name == name {
			found++
		}
	}
	if found != 1 || failed != broken {
		t.Errorf("List yields %d jobs, then %v, want 1 and the error itself", found, failed)
	}
}

// only hides the optional methods of a backend.
type only struct{ jobqueue.Backend }

// clocked is a backend with a clock, and no Waiter.
type clocked struct {
	jobqueue.Backend
	queuetest.Clock
}

// waiting is a backend that is a Waiter, and has no clock.
type waiting struct {
	jobqueue.Backend
	jobqueue.Waiter
}

// keeping is a backend with a store beside the queues.
type keeping struct {
	jobqueue.Backend
	jobqueue.Control
	jobqueue.Limiter
}

func TestFaultyKeepsOptionalMethods(t *testing.T) {
	store := queuememory.New()
	k := keeping{store, store, store}
	for _, b := range []jobqueue.Backend{
		store, only{store}, clocked{store, store}, waiting{store, store}, k,
		struct {
			keeping
			queuetest.Clock
		}{k, store},
		struct {
			keeping
			jobqueue.Waiter
		}{k, store},
		struct {
			clocked
			jobqueue.Waiter
		}{clocked{store, store}, store},
	} {
		f := queuetest.Faulty(b, func(string) error { return nil })
		_, waits := b.(jobqueue.Waiter)
		_, shifts := b.(queuetest.Clock)
		_, controls := b.(jobqueue.Control)
		if _, ok := f.(jobqueue.Waiter); ok != waits {
			t.Errorf("Faulty(%T) is a Waiter: %v, want %v", b, ok, waits)
		}
		if _, ok := f.(queuetest.Clock); ok != shifts {
			t.Errorf("Faulty(%T) is a Clock: %v, want %v", b, ok, shifts)
		}
		if _, ok := f.(jobqueue.Control); ok != controls {
			t.Errorf("Faulty(%T) is a Control: %v, want %v", b, ok, controls)
		}
		if _, ok := f.(jobqueue.Limiter); ok != controls {
			t.Errorf("Faulty(%T) is a Limiter: %v, want %v", b, ok, controls)
		}
	}
}

func TestFaultyMovesTheClock(t *testing.T) {
	store := queuememory.New()
	b := queuetest.Faulty(store, func(string) error { return nil })
	if err := calls["push"](t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b.(queuetest.Clock).Shift(time.Hour)
	counts, err := store.Counts(t.Context(), name)
	if err != nil || counts[0].Age < time.Hour {
		t.Errorf("the job has the age %v, %v, want 1h", counts[0].Age, err)
	}
}
