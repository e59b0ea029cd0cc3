package sqlite_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// Calls whose callers have gone do not stay in line.
func TestWithdrawnCallsLeaveTheLine(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	release := hold(t, path)
	defer release()
	pushed := make(chan error)
	go func() {
		_, err := b.Push(context.Background(), uuid.New(), records(1))
		pushed <- err
	}()
	until(t, "a call in line", func() bool { return b.Waiting() == 1 })
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := b.Push(ctx, uuid.New(), records(1))
			failed <- err
		}()
		until(t, "two calls in line", func() bool { return b.Waiting() == 2 })
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) || !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Fatalf("Push = %v, want that it was cancelled", err)
		}
		if n := b.Waiting(); n != 1 {
			t.Fatalf("%d calls in line, want 1", n)
		}
	}
	release()
	if err := <-pushed; err != nil {
		t.Error(err)
	}
}

// A call that got no room in a transaction and whose caller has gone meanwhile
// returns, though the file stays locked.
func TestCallWithoutRoomReturns(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	if err := b.TakeOne(); err != nil {
		t.Fatal(err)
	}
	release := hold(t, path)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	started, free := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	slow.Go(func() {
		err := b.Write(t.Context(), func(queuedb.Tx) error {
			close(started)
			<-free
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	until(t, "a call in line", func() bool { return b.Waiting() == 1 })
	failed := make(chan error)
	go func() {
		failed <- b.Write(ctx, func(queuedb.Tx) error { return errors.New("it ran") })
	}()
	until(t, "two calls in line", func() bool { return b.Waiting() == 2 })
	release()
	<-started
	cancel()
	until(t, "the caller to go", func() bool { return b.Gone() == 1 })
	close(free)
	slow.Wait()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("Write = %v, want that it was cancelled", err)
	}
}
