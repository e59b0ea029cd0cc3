package queuedb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

var a, b = jobqueue.Name{Domain: "wiki", Type: "a"}, jobqueue.Name{Domain: "wiki", Type: "b"}

// answer is what a Wait returned.
type answer struct {
	names []jobqueue.Name
	err   error
}

// wait calls Wait, and returns when it waits.
func wait(ctx context.Context, bell *queuedb.Bell, closed chan struct{}) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		names, err := bell.Wait(ctx, closed)
		c <- answer{names, err}
	}()
	synctest.Wait()
	return c
}

func same(t *testing.T, what string, got answer, want ...jobqueue.Name) {
	t.Helper()
	slices.SortFunc(got.names, func(a, b jobqueue.Name) int { return len(a.String()) - len(b.String()) })
	if got.err != nil || !slices.Equal(got.names, want) || (got.names == nil) != (want == nil) {
		t.Errorf("%s: Wait = %v, %v, want %v", what, got.names, got.err, want)
	}
}

func TestBell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bell queuedb.Bell
		closed := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		bell.Ring(a) // Nobody has waited so far.
		one, two := wait(ctx, &bell, closed), wait(ctx, &bell, closed)
		if len(one)+len(two) > 0 {
			t.Fatal("Wait returned though nothing was told")
		}
		bell.Ring(a)
		same(t, "one", <-one, a)
		same(t, "the other", <-two, a)

		// Between two waits.
		bell.Ring(b)
		same(t, "missed", <-wait(ctx, &bell, closed), b)
		bell.Ring(b)
		bell.Ring()
		same(t, "missed, and anywhere", <-wait(ctx, &bell, closed))
		many := make([]jobqueue.Name, 1001)
		for i := range many {
			many[i] = jobqueue.Name{Domain: fmt.Sprint(i), Type: "a"}
		}
		bell.Ring(many...)
		same(t, "many", <-wait(ctx, &bell, closed))

		// Long after one it is as if nobody had waited.
		time.Sleep(2 * time.Second)
		bell.Ring(a)
		late := wait(ctx, &bell, closed)
		if len(late) > 0 {
			t.Errorf("Wait = %v long after it was told", <-late)
		}
		cancel()
		if got := <-late; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Wait with a cancelled context = %v", got)
		}
		if got := <-wait(ctx, &bell, closed); !errors.Is(got.err, context.Canceled) {
			t.Errorf("Wait with a cancelled context = %v", got)
		}
		close(closed)
		if got := <-wait(t.Context(), &bell, closed); !errors.Is(got.err, jobqueue.ErrUnavailable) {
			t.Errorf("Wait of a closed backend = %v", got)
		}
	})
}
