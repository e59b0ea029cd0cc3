package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// wakes pushes with one handle until a Wait of another returns.
func wakes(t *testing.T, waits, pushes *postgres.Backend) {
	t.Helper()
	woken := make(chan error, 1)
	go func() {
		_, err := waits.Wait(t.Context())
		woken <- err
	}()
	until(t, "end of Wait", func() bool {
		push(t, pushes, records(1)...)
		select {
		case err := <-woken:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
			return false
		}
	})
}

// A push of one process wakes another one.
func TestWait(t *testing.T) {
	schema, all := handles(t, 2)
	wakes(t, all[0], all[1])
	c := raw(t, schema)
	listening := func() (pids []int32) {
		rows, _ := c.Query(t.Context(), "select pid from pg_stat_activity where query like 'listen \"jobqueue_%' and state = 'idle'")
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			t.Fatal(err)
		}
		return pids
	}
	until(t, "connection that listens", func() bool { return len(listening()) > 0 })
	// Nothing but a notification wakes it from here on.
	for range 5 {
		wakes(t, all[0], all[1])
	}
	if _, err := c.Exec(t.Context(), "select pg_terminate_backend($1)", listening()[0]); err != nil {
		t.Fatal(err)
	}
	wakes(t, all[0], all[1])
}

// waiting calls Wait again and again, and tells what it returns.
func waiting(t *testing.T, b *postgres.Backend) <-chan []jobqueue.Name {
	t.Helper()
	told := make(chan []jobqueue.Name, 1000)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			names, err := b.Wait(ctx)
			if err != nil {
				return
			}
			told <- names
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	return told
}

func job(n jobqueue.Name) jobqueue.Record { return jobqueue.Record{Name: n, Params: []byte("{}")} }

// hears waits until these names are told, and perhaps ones from before; none is any queue.
func hears(t *testing.T, told <-chan []jobqueue.Name, want ...jobqueue.Name) {
	t.Helper()
	until(t, fmt.Sprintf("hint of %v", want), func() bool {
		for {
			select {
			case names := <-told:
				if slices.ContainsFunc(names, func(n jobqueue.Name) bool { return n.Type == "delayed" }) {
					t.Fatalf("Wait = %v, but nothing is ready there", names)
				}
				if (names == nil) == (want == nil) && !slices.ContainsFunc(want, func(n jobqueue.Name) bool { return !slices.Contains(names, n) }) {
					return true
				}
			default:
				return false
			}
		}
	})
}

// connected waits until a handle hears what another pushes, and all of that was told.
func connected(t *testing.T, told <-chan []jobqueue.Name, pushes *postgres.Backend) {
	t.Helper()
	last := jobqueue.Name{Domain: "wiki", Type: "last"}
	until(t, "hint", func() bool {
		push(t, pushes, job(last))
		select {
		case names := <-told:
			return len(names) > 0
		default:
			return false
		}
	})
	done := jobqueue.Name{Domain: "wiki", Type: "done"}
	until(t, "hint", func() bool {
		push(t, pushes, job(done))
		select {
		case names := <-told:
			return slices.Contains(names, done)
		default:
			return false
		}
	})
}

// A Wait names the queues of a push that are ready, whoever made it.
func TestWaitNames(t *testing.T) {
	_, all := handles(t, 2)
	odd := jobqueue.Name{Domain: `"wiki", <ä>\`, Type: "type/1"}
	later := job(jobqueue.Name{Domain: "wiki", Type: "delayed"})
	later.Delay = time.Hour
	for _, pushes := range all {
		told := waiting(t, all[0])
		connected(t, told, all[1])
		push(t, pushes, job(queue), job(odd), job(queue), later)
		hears(t, told, queue, odd)
	}
	told := waiting(t, all[0])
	connected(t, told, all[1])
	// More than a notification can say.
	many := make([]jobqueue.Record, 900)
	for i := range many {
		many[i] = job(jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: "a"})
	}
	push(t, all[1], many...)
	hears(t, told)
	// What other calls make ready is not named.
	cs := pop(t, all[1], 2)
	settle(t, all[1], outcomes(jobqueue.ActionRetry, cs...)...)
	hears(t, told)
}

// What a process tells the others it does not hear itself once more.
func TestWaitOnce(t *testing.T) {
	_, all := handles(t, 2)
	told := waiting(t, all[0])
	connected(t, told, all[1])
	for range 20 {
		push(t, all[0], records(1)...)
		hears(t, told, queue)
		push(t, all[1], job(jobqueue.Name{Domain: "wiki", Type: "other"}))
		// Notifications come in the order of their commits, the own one of the first push before, or at last with the next.
		if names := <-told; slices.Contains(names, queue) {
			t.Fatalf("Wait = %v again", names)
		}
	}
}

// A notification that is not understood stands for any queue, as does that of older programs.
func TestWaitPayload(t *testing.T) {
	schema, all := handles(t, 2)
	told := waiting(t, all[0])
	connected(t, told, all[1])
	c := raw(t, schema)
	channel := all[0].Channel()
	for _, payload := range []string{
		"", "x", "null", "1", "[]", `["x"]`, `["x","wiki"]`, `["x","wiki",1]`, `["x","","a"]`, `["x","wiki","a\u0000"]`, `["x","wiki","a"`, `{"x":1}`,
		`["x","wiki","a"] ` + strings.Repeat("x", 7000),
	} {
		if _, err := c.Exec(t.Context(), "select pg_notify($1, $2)", channel, payload); err != nil {
			t.Fatal(err)
		}
		hears(t, told)
	}
	if _, err := c.Exec(t.Context(), "select pg_notify($1, $2)", channel, `["x","wiki","a","wiki","b"]`); err != nil {
		t.Fatal(err)
	}
	hears(t, told, jobqueue.Name{Domain: "wiki", Type: "a"}, jobqueue.Name{Domain: "wiki", Type: "b"})
}

// A Wait ends with its context, and with the backend.
func TestWaitEnds(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a cancelled context = %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := b.Wait(t.Context())
		ended <- err
	}()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil && !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Wait of a closed backend = %v", err)
	}
	if _, err := b.Wait(t.Context()); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Wait of a closed backend = %v", err)
	}
}
