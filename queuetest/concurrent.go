package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// All methods may be called concurrently.
var concurrentRules = []testCase{
	{"duplicates", "a record with a Digest is dropped when an equal job waits: never do two waiting jobs have one key", testConcurrentDuplicates},
	{"hand-over", "a claim is a job handed over by a Pop: each job by one alone", testConcurrentPops},
	{"same push", "repeating a push with the same id stores nothing more, even while the first is under way", testConcurrentSamePush},
	{"same pop", "repeating a Pop with the token of an earlier one claims nothing new, even while the first is under way", testConcurrentSamePop},
	{"same settle", "repeating an outcome does nothing twice, even while the first is under way", testConcurrentSameSettle},
	{"whole batches", "Push stores all of the records or none; Counts counts at one instant", testConcurrentBatches},
	{"marks", "MarkRoots moves each root mark forward to its time, never back, whoever else moves it", testConcurrentMarks},
	{"maintain", "any number of processes may call Maintain at once", testConcurrentMaintain},
	{"delete", "Delete and Pop each take a job or leave it to the other", testConcurrentDelete},
	{"wait", "Wait returns when work may have arrived since it was called", testConcurrentWait},
}

// workers is how many goroutines the rows start for each side.
const workers = 8

// together runs n goroutines at once and fails the test with their first error.
func (t *tester) together(n int, do func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	t.ok(errors.Join(errs...), "concurrently")
}

func (t *tester) tryPush(records ...jobqueue.Record) (jobqueue.Pushed, error) {
	return t.b.Push(t.Context(), uuid.New(), t.named(records))
}

func (t *tester) tryPop(n int) ([]*jobqueue.Claim, error) {
	return t.b.Pop(t.Context(), newLease(), t.want(t.q.Type, n))
}

func testConcurrentDuplicates(t *tester) {
	const keys, rounds = 5, 30
	var stored, ran, pushing atomic.Int64
	pushing.Store(workers)
	t.together(3*workers, func(i int) error {
		if i < workers { // push every key, again and again
			defer pushing.Add(-1)
			return repeat(rounds, func() error {
				var records []jobqueue.Record
				for k := range keys {
					n := (k + i) % keys
					records = append(records, unique(job(n), fmt.Sprint(n)))
				}
				pushed, err := t.tryPush(records...)
				stored.Add(int64(pushed.Stored()))
				return err
			})
		}
		for { // pop until all is pushed and run, or watch that long
			last := pushing.Load() == 0
			if i < 2*workers {
				n, err := t.run(2)
				if ran.Add(int64(n)); err != nil || last && n == 0 {
					return err
				}
				continue
			}
			c, err := t.b.Counts(t.Context(), t.q)
			if err != nil || last {
				return err
			}
			if n := c[0].Ready + c[0].Delayed; n > keys {
				return fmt.Errorf("%d jobs wait with %d different keys", n, keys)
			}
		}
	})
	if stored.Load() != ran.Load() || ran.Load() < keys {
		t.Fatalf("%d jobs were stored and %d ran", stored.Load(), ran.Load())
	}
	t.counts(0, 0, 0, 0)
}

func repeat(n int, do func() error) error {
	for range n {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// run pops and settles up to n jobs and returns how many it got.
func (t *tester) run(n int) (int, error) {
	claims, err := t.tryPop(n)
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	lost, err := t.b.Settle(t.Context(), each(claims, jobqueue.Outcome{Do: jobqueue.ActionDone})...)
	if len(lost) > 0 {
		return 0, fmt.Errorf("%d claims are lost", len(lost))
	}
	return len(claims), err
}

func testConcurrentPops(t *tester) {
	const all = 400
	t.stores(jobs(1, all)...)
	var mu sync.Mutex
	var handed []int
	t.together(workers, func(int) error {
		for {
			claims, err := t.tryPop(7)
			if err != nil || len(claims) == 0 {
				return err
			}
			mu.Lock()
			handed = append(handed, numbersOf(claims)...)
			mu.Unlock()
		}
	})
	slices.Sort(handed)
	if n := len(slices.Compact(slices.Clone(handed))); len(handed) != all || n != all {
		t.Fatalf("%d jobs were handed out %d times, want %d once each", n, len(handed), all)
	}
}

func testConcurrentSamePush(t *tester) {
	id := uuid.New()
	answers := make([]jobqueue.Pushed, workers)
	t.together(workers, func(i int) (err error) {
		answers[i], err = t.b.Push(t.Context(), id, t.named(jobs(1, 20)))
		return err
	})
	for _, a := range answers {
		t.samePushed(a, answers[0])
	}
	t.counts(20, 0, 0, 0)
}

func testConcurrentSamePop(t *tester) {
	t.stores(jobs(1, 30)...)
	l := newLease()
	answers := make([][]*jobqueue.Claim, workers)
	t.together(workers, func(i int) (err error) {
		answers[i], err = t.b.Pop(t.Context(), l, t.want(t.q.Type, 10))
		return err
	})
	for _, a := range answers {
		t.same(a, numbersOf(answers[0])...)
	}
	t.counts(20, 0, 10, 0)
}

func testConcurrentSameSettle(t *tester) {
	t.stores(jobs(1, 10)...)
	claims := t.pop(10)
	t.together(workers, func(int) error {
		lost, err := t.b.Settle(t.Context(), each(claims, retry(nil, 0))...)
		if len(lost) > 0 {
			return fmt.Errorf("%d settled claims are lost", len(lost))
		}
		return err
	})
	for _, c := range t.pop(10) {
		if c.Failures != 1 {
			t.Fatalf("job %s has %d failures, want 1", c.Params, c.Failures)
		}
	}
}

func testConcurrentBatches(t *tester) {
	const size = 20
	var pushing atomic.Int64
	pushing.Store(workers)
	t.together(workers+2, func(i int) error {
		if i < workers {
			defer pushing.Add(-1)
			return repeat(10, func() error {
				_, err := t.tryPush(jobs(1, size)...)
				return err
			})
		}
		for pushing.Load() > 0 {
			c, err := t.b.Counts(t.Context(), t.q)
			if err != nil {
				return err
			}
			if c[0].Ready%size != 0 {
				return fmt.Errorf("%d jobs are counted while batches of %d are pushed", c[0].Ready, size)
			}
		}
		return nil
	})
	t.counts(workers*10*size, 0, 0, 0)
}

func testConcurrentMarks(t *tester) {
	t.together(workers, func(i int) error {
		for n := range 10 {
			at := day(1 + (n*workers+i*7)%31)
			got, err := t.b.MarkRoots(t.Context(), jobqueue.Mark{Name: t.q, Key: "page", Time: at})
			if err == nil && got[0].Before(at) {
				err = fmt.Errorf("the mark stands at %v after it was moved to %v", got[0], at)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	t.mark("page", day(31))
	t.markIs("page", day(31))
}

func testConcurrentMaintain(t *tester) {
	t.stores(append(jobs(1, 60), delayed(job(61), lease))...)
	t.settle(each(t.pop(20), abandon(nil, lease))...)
	t.pop(40)
	t.lapse()
	t.advance(0)
	var recycled, released, pruned atomic.Int64
	t.together(workers, func(int) error {
		m, err := t.b.Maintain(t.Context())
		recycled.Add(int64(m.Recycled))
		released.Add(int64(m.Released))
		pruned.Add(int64(m.Pruned))
		return err
	})
	if a, b, c := recycled.Load(), released.Load(), pruned.Load(); a != 40 || b != 1 || c != 20 {
		t.Fatalf("all together recycled %d, released %d, pruned %d jobs, want 40, 1, 20", a, b, c)
	}
	t.counts(41, 0, 0, 0)
}

func testConcurrentDelete(t *tester) {
	const all = 200
	t.stores(jobs(1, all)...)
	var taken atomic.Int64
	t.together(workers, func(i int) error {
		for {
			n, err := 0, error(nil)
			if i%2 == 0 {
				n, err = t.b.Delete(t.Context(), jobqueue.Filter{Domain: t.q.Domain, Limit: 5})
			} else {
				n, err = t.run(5)
			}
			if taken.Add(int64(n)); err != nil || n == 0 {
				return err
			}
		}
	})
	if taken.Load() != all {
		t.Fatalf("%d jobs were deleted or run, want %d", taken.Load(), all)
	}
}

func testConcurrentWait(t *tester) {
	w, ok := t.b.(jobqueue.Waiter)
	if !ok {
		t.Skip("the backend is no Waiter")
	}
	ctx, stop := context.WithCancel(t.Context())
	type answer struct {
		names []jobqueue.Name
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		names, err := w.Wait(ctx)
		answers <- answer{names, err}
	}()
	// Wait may be called late, so push until it has returned.
	for {
		t.stores(job(1))
		select {
		case a := <-answers:
			stop()
			if a.err != nil || a.names != nil && !slices.Contains(a.names, t.q) {
				t.Fatalf("Wait = %v, %v, want %v", a.names, a.err, t.q)
			}
			if _, err := w.Wait(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("Wait with a cancelled context = %v", err)
			}
			return
		default:
		}
	}
}
