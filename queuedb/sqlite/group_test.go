package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// hold keeps the file locked until the function it returns is called.
func hold(t testing.TB, path string) (release func()) {
	t.Helper()
	c, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(c *sql.Conn, text string) {
		if _, err := c.ExecContext(context.WithoutCancel(t.Context()), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	run(c, "begin immediate")
	return sync.OnceFunc(func() {
		run(c, "rollback")
		c.Close()
	})
}

// until waits for a condition.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); runtime.Gosched() {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// TestGroupFailsAlone checks that of the calls in one transaction a failing one
// undoes what it did, all of it and nothing else.
func TestGroupFailsAlone(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	execute(t, raw(t, path), `create trigger refuse after insert on job when new.params = cast('{"bad":1}' as blob)
		begin select raise(abort, 'refused'); end`)
	const calls = 20
	release := hold(t, path)
	defer release()
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		rs := records(3)
		if i%4 == 1 {
			rs[2].Params = []byte(`{"bad":1}`)
		}
		wg.Go(func() { _, errs[i] = b.Push(t.Context(), uuid.New(), rs) })
	}
	until(t, "calls in line", func() bool { return b.Waiting() == calls })
	release()
	wg.Wait()
	for i, err := range errs {
		if failed := err != nil; failed != (i%4 == 1) {
			t.Errorf("push %d = %v", i, err)
		}
	}
	if c := counts(t, b); c.Ready != 3*(calls-calls/4) {
		t.Errorf("Counts = %+v, want %d ready", c, 3*(calls-calls/4))
	}
	if got := len(pop(t, b, 1000)); got != 3*(calls-calls/4) {
		t.Errorf("Pop returned %d jobs, want %d", got, 3*(calls-calls/4))
	}
}

// TestContextEndsWait checks that a call gives up its place in line with its context, and does nothing.
func TestContextEndsWait(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	release := hold(t, path)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() {
		_, err := b.Push(ctx, uuid.New(), records(1))
		answer <- err
	}()
	until(t, "call in line", func() bool { return b.Waiting() == 1 })
	cancel()
	if err := <-answer; !errors.Is(err, jobqueue.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Push = %v, want %v and %v", err, jobqueue.ErrUnavailable, context.Canceled)
	}
	release()
	push(t, b, records(2)...)
	if c := counts(t, b); c.Ready != 2 {
		t.Errorf("Counts = %+v, want 2 ready", c)
	}
}

// A process that keeps the file locked, as one that is stopped does, is no riddle.
func TestLockedForLong(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	if err := b.Patience(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	release := hold(t, path)
	defer release()
	_, err := b.Push(t.Context(), uuid.New(), records(1))
	if !errors.Is(err, jobqueue.ErrUnavailable) || !strings.Contains(err.Error(), path+": another process has kept it locked for 50ms") {
		t.Errorf("Push = %v, want %v and the reason", err, jobqueue.ErrUnavailable)
	}
	release()
	// Whoever gives up the lock may need it for a moment to tidy up, and this, too, waits for 50 ms alone.
	until(t, "the lock is free", func() bool { return b.Patience(time.Minute) == nil })
	push(t, b, records(2)...)
	if c := counts(t, b); c.Ready != 2 {
		t.Errorf("Counts = %+v, want 2 ready", c)
	}
}

// TestBusyIsWaitedFor checks that a lock of another process is no error.
func TestBusyIsWaitedFor(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	release := hold(t, path)
	defer release()
	answer := make(chan error)
	go func() {
		_, err := b.Push(t.Context(), uuid.New(), records(1))
		answer <- err
	}()
	until(t, "call in line", func() bool { return b.Waiting() == 1 })
	// Reads go on meanwhile.
	if c := counts(t, b); c.Ready != 0 {
		t.Errorf("Counts = %+v, want none ready", c)
	}
	select {
	case err := <-answer:
		t.Errorf("Push = %v while the file is locked", err)
	default:
	}
	release()
	if err := <-answer; err != nil {
		t.Errorf("Push = %v", err)
	}
}

func TestWait(t *testing.T) {
	path := newFile(t)
	b, other := openFile(t, path, nil), openFile(t, path, nil)
	for name, from := range map[string]*sqlite.Backend{"this process": b, "another": other} {
		t.Run(name, func(t *testing.T) {
			woken := make(chan error)
			go func() {
				_, err := b.Wait(t.Context())
				woken <- err
			}()
			// The waiter may start after a push, so there are several.
			for {
				push(t, from, records(1)...)
				select {
				case err := <-woken:
					if err != nil {
						t.Error(err)
					}
					return
				default:
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want %v", err, context.Canceled)
	}
}

// TestDamaged checks that what cannot be read is put away and the rest handed out.
func TestDamaged(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(5)...)
	db := raw(t, path)
	execute(t, db, "update job set params = x'00ff' where id = 2")
	execute(t, db, "update job set headers = 'no json' where id = 3")
	execute(t, db, "delete from job where id = 4")
	var got []string
	for _, c := range pop(t, b, 5) {
		got = append(got, c.ID)
	}
	if fmt.Sprint(got) != "[1 5]" {
		t.Errorf("Pop returned jobs %v, want [1 5]", got)
	}
	var reasons []string
	for e, err := range b.List(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Abandoned}}) {
		if err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, e.ID+" "+e.LastError)
	}
	if len(reasons) != 2 || reasons[0] != `2 damaged: stored parameters are no JSON object: "\x00\xff"` ||
		reasons[1] != `3 damaged: stored headers are not JSON: "no json"` {
		t.Errorf("List of abandoned jobs = %q", reasons)
	}
	for r := range b.Ready(t.Context()) {
		t.Errorf("Ready yields %v of an empty queue", r)
	}
}
