package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// handles opens a schema n times, as n processes do.
func handles(t testing.TB, n int) (schema string, all []*postgres.Backend) {
	t.Helper()
	schema = newSchema(t)
	for range n {
		all = append(all, openSchema(t, &postgres.Options{Schema: schema, Relaxed: true}))
	}
	return schema, all
}

// together runs do for each handle at once and fails the test with the errors.
func together(t testing.TB, all []*postgres.Backend, do func(i int, b *postgres.Backend) error) {
	t.Helper()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, b := range all {
		wg.Go(func() { errs[i] = do(i, b) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// watchIntegrity checks the tables again and again until the function it returns is called.
func watchIntegrity(t testing.TB, schema string) (end func()) {
	c := raw(t, schema)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				if integrity(t, c); t.Failed() {
					return
				}
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
		integrity(t, c)
	}
}

func digest(n int) (d jobqueue.Digest) {
	copy(d[:], fmt.Sprintf("digest %d", n))
	return d
}

// Never do two waiting jobs have one key, however many processes push it at once.
func TestDuplicatesTogether(t *testing.T) {
	const keys, processes, rounds = 1000, 20, 3
	schema, all := handles(t, processes)
	end := watchIntegrity(t, schema)
	for range rounds {
		stored := make([]int, processes)
		together(t, all, func(i int, b *postgres.Backend) error {
			rs := records(keys)
			for k := range rs {
				rs[k].Digest = digest(k)
			}
			rand.Shuffle(len(rs), func(i, k int) { rs[i], rs[k] = rs[k], rs[i] })
			p, err := b.Push(t.Context(), uuid.New(), rs)
			stored[i] = p.Stored()
			return err
		})
		sum := 0
		for _, n := range stored {
			sum += n
		}
		if sum != keys {
			t.Fatalf("%d of %d jobs with %d digests were stored", sum, keys*processes, keys)
		}
		for n := 0; n < keys; {
			cs := pop(t, all[0], 300)
			if len(cs) == 0 {
				t.Fatalf("Pop found %d jobs, want %d", n, keys)
			}
			n += len(cs)
		}
	}
	end()
}

// A job that a push named as the one that stays has what it took over when it is claimed, and
// there is never a job too many or too few.
func TestTakeOverTogether(t *testing.T) {
	const keys, processes, rounds = 5, 8, 60
	schema, all := handles(t, processes)
	end := watchIntegrity(t, schema)
	var mu sync.Mutex
	told := map[string]int64{} // by job: the newest root that it must have
	has := map[string]int64{}  // by job: the root it was claimed with
	base := time.Now().Truncate(time.Second)
	take := func(b *postgres.Backend, n int) (int, error) {
		cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: queue, Max: n})
		if err != nil {
			return 0, err
		}
		mu.Lock()
		for _, c := range cs {
			if _, again := has[c.ID]; again {
				err = fmt.Errorf("job %s was handed out twice", c.ID)
			}
			has[c.ID] = c.Root.Time.Unix()
		}
		mu.Unlock()
		if err != nil {
			return 0, err
		}
		lost, err := b.Settle(t.Context(), outcomes(jobqueue.ActionDone, cs...)...)
		if len(lost) > 0 {
			err = fmt.Errorf("%d claims are lost", len(lost))
		}
		return len(cs), err
	}
	together(t, all, func(i int, b *postgres.Backend) error {
		for n := range rounds {
			if i%4 == 3 {
				if _, err := take(b, 2); err != nil {
					return err
				}
				continue
			}
			r := records(3)
			for k := range r {
				r[k].Digest = digest(rand.IntN(keys))
				r[k].Root = jobqueue.Root{Key: "page", Time: base.Add(time.Duration(n) * time.Second)}
				if rand.IntN(3) == 0 {
					r[k].Delay = time.Hour
				}
			}
			p, err := b.Push(t.Context(), uuid.New(), r)
			if err != nil {
				return err
			}
			mu.Lock()
			for k, j := range p {
				told[j.ID] = max(told[j.ID], r[k].Root.Time.Unix())
			}
			mu.Unlock()
		}
		return nil
	})
	end()
	for _, b := range all {
		b.Shift(2 * time.Hour)
	}
	for {
		n, err := take(all[0], 100)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	for id, at := range told {
		if has[id] < at {
			t.Errorf("job %s was claimed with the root of %d, want at least %d", id, has[id]-base.Unix(), at-base.Unix())
		}
	}
	if len(has) != len(told) {
		t.Errorf("%d jobs were claimed, want %d", len(has), len(told))
	}
}

// Whatever is called at once, the tables never contradict each other, no deadlock remains, and every job is settled once at most.
func TestStorm(t *testing.T) {
	const processes, rounds = 8, 80
	schema, all := handles(t, processes)
	end := watchIntegrity(t, schema)
	var mu sync.Mutex
	done := map[string]int{}
	together(t, all, func(i int, b *postgres.Backend) error {
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		var claims []*jobqueue.Claim
		for range rounds {
			if err := storm(t.Context(), b, rnd, &claims, func(c *jobqueue.Claim) {
				mu.Lock()
				done[c.ID]++
				mu.Unlock()
			}); err != nil {
				return err
			}
		}
		return nil
	})
	end()
	for id, n := range done {
		if n > 1 {
			t.Errorf("job %s was settled %d times", id, n)
		}
	}
}

// storm does one thing at random.
func storm(ctx context.Context, b *postgres.Backend, rnd *rand.Rand, claims *[]*jobqueue.Claim, settled func(*jobqueue.Claim)) error {
	name := func() jobqueue.Name {
		return jobqueue.Name{Domain: "wiki", Type: fmt.Sprint("type", rnd.IntN(3))}
	}
	var err error
	switch rnd.IntN(14) {
	case 0, 1, 2, 3:
		rs := records(1 + rnd.IntN(12))
		for i := range rs {
			rs[i].Name = name()
			if rnd.IntN(2) == 0 {
				rs[i].Digest = digest(rnd.IntN(10))
			}
			if rnd.IntN(3) == 0 {
				rs[i].Root = jobqueue.Root{Key: fmt.Sprint("page", rnd.IntN(3))}
				if rnd.IntN(2) == 0 {
					rs[i].Root.Time = time.Now()
				}
			}
			if rnd.IntN(3) == 0 {
				rs[i].Delay = time.Duration(rnd.IntN(50)) * time.Millisecond
			}
		}
		_, err = b.Push(ctx, uuid.New(), rs)
	case 4, 5, 6:
		ttl := time.Duration(1+rnd.IntN(100)) * time.Millisecond
		var cs []*jobqueue.Claim
		cs, err = b.Pop(ctx, lease(ttl), jobqueue.Want{Name: name(), Max: 5}, jobqueue.Want{Name: name(), Max: 5})
		*claims = append(*claims, cs...)
	case 7, 8, 9:
		do := []jobqueue.Action{jobqueue.ActionDone, jobqueue.ActionRetry, jobqueue.ActionGiveBack, jobqueue.ActionAbandon}[rnd.IntN(4)]
		n := rnd.IntN(len(*claims) + 1)
		os := outcomes(do, (*claims)[:n]...)
		*claims = (*claims)[n:]
		var lost []*jobqueue.Claim
		lost, err = b.Settle(ctx, os...)
		gone := map[*jobqueue.Claim]bool{}
		for _, c := range lost {
			gone[c] = true
		}
		for _, o := range os {
			if err == nil && do == jobqueue.ActionDone && !gone[o.Claim] {
				settled(o.Claim)
			}
		}
	case 10:
		var tokens []uuid.UUID
		for _, c := range *claims {
			tokens = append(tokens, c.Token)
		}
		_, err = b.Extend(ctx, 50*time.Millisecond, tokens...)
	case 11:
		_, err = b.Maintain(ctx)
	case 12:
		f := jobqueue.Filter{Type: name().Type, Limit: 1 + rnd.IntN(5)}
		if rnd.IntN(2) == 0 {
			f.States = []jobqueue.State{jobqueue.Claimed, jobqueue.Ready, jobqueue.Delayed}
		}
		if rnd.IntN(2) == 0 {
			_, err = b.Delete(ctx, f)
		} else {
			_, err = b.Requeue(ctx, f)
		}
	case 13:
		var first string
		for e, err := range b.List(ctx, jobqueue.Filter{Limit: 1}) {
			if err != nil {
				return err
			}
			first = e.ID
		}
		var cs []*jobqueue.Claim
		cs, err = b.Pop(ctx, lease(time.Second), jobqueue.Want{Name: name(), ID: first})
		*claims = append(*claims, cs...)
	}
	return err
}

// A claim is settled by one alone, be it another outcome or a sweep that comes at the same time.
func TestSettleTogether(t *testing.T) {
	const jobs, processes, rounds = 12, 6, 25
	schema, all := handles(t, processes)
	c := raw(t, schema)
	for range rounds {
		push(t, all[0], records(jobs)...)
		cs, err := all[0].Pop(t.Context(), lease(time.Millisecond), jobqueue.Want{Name: queue, Max: jobs})
		if err != nil || len(cs) != jobs {
			t.Fatalf("Pop = %d jobs, %v", len(cs), err)
		}
		do := []jobqueue.Action{jobqueue.ActionDone, jobqueue.ActionRetry, jobqueue.ActionGiveBack, jobqueue.ActionAbandon}
		together(t, all, func(i int, b *postgres.Backend) error {
			if i >= len(do) {
				_, err := b.Maintain(t.Context())
				return err
			}
			_, err := b.Settle(t.Context(), outcomes(do[i], cs...)...)
			return err
		})
		integrity(t, c)
		got := counts(t, all[0])
		if got.Claimed != 0 || got.Total() != 0 && got.Total() != jobs || got.Ready != 0 && got.Ready != jobs {
			t.Fatalf("Counts = %+v after four ways to settle %d jobs, want one of them", got, jobs)
		}
		if _, err := all[0].Delete(t.Context(), jobqueue.Filter{}); err != nil {
			t.Fatal(err)
		}
	}
}

// Transactions that wait for each other, and ones that ask to be run again, are repeated until they succeed.
func TestDeadlock(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	keys := []string{"a", "b"}
	var runs [2]int
	var both sync.WaitGroup
	both.Add(2)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			errs[i] = b.Write(t.Context(), func(tx queuedb.Tx) error {
				runs[i]++
				hold := func(k string) error {
					_, err := tx.Count("value_put", k, []byte("x"), int64(1), int64(1), nil)
					return err
				}
				if err := hold(keys[i]); err != nil {
					return err
				}
				if runs[i] == 1 {
					both.Done()
					both.Wait()
				}
				return hold(keys[1-i])
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil || runs[0]+runs[1] != 3 {
		t.Errorf("Write = %v after %d runs, want 3", err, runs)
	}
	again := 0
	err := b.Write(t.Context(), func(queuedb.Tx) error {
		if again++; again < 5 {
			return queuedb.ErrAgain
		}
		return nil
	})
	if err != nil || again != 5 {
		t.Errorf("Write = %v after %d runs, want 5", err, again)
	}
}
