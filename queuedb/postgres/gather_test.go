package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// block keeps pushes from being stored until the function it returns is called, which is safe to call again.
func block(t testing.TB, schema string) (release func()) {
	t.Helper()
	c := raw(t, schema)
	tx, err := c.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "lock table push in share row exclusive mode")
	}
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { tx.Rollback(context.Background()) })
}

// until waits for a condition.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(30*time.Second), time.NewTicker(time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("there is no %s", what)
		}
	}
}

// blocked returns how many sessions wait for the lock of block.
func blocked(t testing.TB, schema string) func() bool {
	c := raw(t, schema)
	return func() bool {
		var n int
		err := c.QueryRow(t.Context(), `select count(*) from pg_locks where not granted and relation = to_regclass('push')`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
}

// Small pushes that come while one is under way share the next transaction, and each has its own answer.
func TestGather(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	release := block(t, schema)
	defer release()
	const calls, size = 60, 3
	answers, errs := make([]jobqueue.Pushed, calls), make([]error, calls)
	var wg sync.WaitGroup
	run := func(i int) {
		wg.Go(func() {
			rs := records(size)
			for k := range rs {
				rs[k].Params = fmt.Appendf(nil, `{"n":%d}`, i*size+k)
			}
			rs[1].Digest, rs[2].Digest = digest(i), digest(i)
			answers[i], errs[i] = b.Push(t.Context(), uuid.New(), rs)
		})
	}
	run(0)
	until(t, "push that waits", blocked(t, schema))
	for i := 1; i < calls; i++ {
		run(i)
	}
	until(t, "line", func() bool { return b.InLine() == calls-1 })
	release()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var transactions int
	if err := raw(t, schema).QueryRow(t.Context(), "select count(distinct xmin::text) from push").Scan(&transactions); err != nil {
		t.Fatal(err)
	}
	if transactions != 2 {
		t.Errorf("%d pushes took %d transactions, want 2", calls, transactions)
	}
	params := map[string]string{}
	for _, c := range pop(t, b, calls*size) {
		params[c.ID] = string(c.Params)
	}
	for i, a := range answers {
		if len(a) != size || a[0].Duplicate || a[1].Duplicate || !a[2].Duplicate || a[2].ID != a[1].ID ||
			params[a[0].ID] != fmt.Sprintf(`{"n":%d}`, i*size) || params[a[1].ID] != fmt.Sprintf(`{"n":%d}`, i*size+1) {
			t.Errorf("push %d = %+v, whose jobs have %q and %q", i, a, params[a[0].ID], params[a[1].ID])
		}
	}
}

// One that fails, and one whose caller has gone, fail alone.
func TestGatherFails(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	damaged := uuid.New()
	if _, err := raw(t, schema).Exec(t.Context(), `insert into push (id, at, answer) values ($1, 9e15, '\x80')`, damaged[:]); err != nil {
		t.Fatal(err)
	}
	release := block(t, schema)
	defer release()
	const calls = 9
	errs := make([]error, calls)
	var wg sync.WaitGroup
	run := func(ctx context.Context, i int, id uuid.UUID) {
		wg.Go(func() { _, errs[i] = b.Push(ctx, id, records(1)) })
	}
	run(t.Context(), 0, uuid.New())
	until(t, "push that waits", blocked(t, schema))
	gone, leave := context.WithCancel(t.Context())
	defer leave()
	run(gone, 1, uuid.New())
	run(t.Context(), 2, damaged)
	for i := 3; i < calls; i++ {
		run(t.Context(), i, uuid.New())
	}
	until(t, "line", func() bool { return b.InLine() == calls-1 })
	leave()
	until(t, "shorter line", func() bool { return b.InLine() == calls-2 })
	release()
	wg.Wait()
	for i, err := range errs {
		switch {
		case i == 1:
			if !errors.Is(err, jobqueue.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("the push whose caller has gone = %v", err)
			}
		case i == 2:
			if err == nil || errors.Is(err, jobqueue.ErrUnavailable) {
				t.Errorf("the push with a damaged answer = %v", err)
			}
		case err != nil:
			t.Errorf("push %d = %v", i, err)
		}
	}
	if c := counts(t, b); c.Ready != calls-2 {
		t.Errorf("Counts = %+v, want %d ready", c, calls-2)
	}
}

// When callers of a push that several share go, even the one that does it, the others still share one.
func TestGatherGone(t *testing.T) {
	for name, leaves := range map[string]int{"first": 1, "another": 3} {
		t.Run(name, func(t *testing.T) {
			schema := newSchema(t)
			b := openSchema(t, &postgres.Options{Schema: schema})
			waits := blocked(t, schema)
			release := block(t, schema)
			const calls = 20
			gone, leave := context.WithCancel(t.Context())
			defer leave()
			errs := make([]error, calls)
			ended := make([]chan struct{}, calls)
			var wg sync.WaitGroup
			run := func(i int) {
				ctx := t.Context()
				if i == leaves {
					ctx = gone
				}
				ended[i] = make(chan struct{})
				wg.Go(func() {
					_, errs[i] = b.Push(ctx, uuid.New(), records(1))
					close(ended[i])
				})
			}
			run(0)
			until(t, "push that waits", waits)
			for i := 1; i < calls; i++ {
				run(i)
				until(t, "line", func() bool { return b.InLine() == i })
			}
			// Another lock takes over, so that the others get as far as the first.
			again := raw(t, schema)
			tx, err := again.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			locked := make(chan error, 1)
			go func() {
				_, err := tx.Exec(t.Context(), "lock table push in share row exclusive mode")
				locked <- err
			}()
			watches := raw(t, schema)
			until(t, "lock that waits", func() bool {
				var n int
				err := watches.QueryRow(t.Context(), "select count(*) from pg_locks where not granted and relation = to_regclass('push') and mode = 'ShareRowExclusiveLock'").Scan(&n)
				return err == nil && n > 0
			})
			release()
			<-ended[0]
			if err := <-locked; err != nil {
				t.Fatal(err)
			}
			until(t, "shared push that waits", func() bool { return waits() && b.InLine() == 0 })
			leave()
			<-ended[leaves]
			until(t, "shared push of the others that waits", waits)
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			for i, err := range errs {
				if gone := errors.Is(err, jobqueue.ErrUnavailable) && errors.Is(err, context.Canceled); i == leaves && !gone || i != leaves && err != nil {
					t.Errorf("push %d = %v", i, err)
				}
			}
			var transactions, pushes int
			if err := watches.QueryRow(t.Context(), "select count(distinct xmin::text), count(*) from push").Scan(&transactions, &pushes); err != nil {
				t.Fatal(err)
			}
			// That of the one that has gone may be in or not.
			if transactions != 2 || pushes < calls-1 {
				t.Errorf("%d pushes took %d transactions, want %d in 2", pushes, transactions, calls-1)
			}
		})
	}
}

// Pushes of one id at once, and again, are one push.
func TestGatherSameID(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	const calls = 20
	ids := []uuid.UUID{uuid.New(), uuid.New()}
	answers, errs := make([]jobqueue.Pushed, calls), make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() { answers[i], errs[i] = b.Push(t.Context(), ids[i%2], records(2)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if want := answers[i%2]; len(a) != 2 || a[0] != want[0] || a[1] != want[1] {
			t.Errorf("push %d = %+v, want %+v", i, a, want)
		}
	}
	if c := counts(t, b); c.Ready != 4 {
		t.Errorf("Counts = %+v, want 4 ready", c)
	}
}
