package queueredis_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// What is more than one script does at most.

func push(t *testing.T, b jobqueue.Backend, records []jobqueue.Record) {
	t.Helper()
	for part := range slices.Chunk(records, jobqueue.MaxPush) {
		if _, err := b.Push(t.Context(), uuid.New(), part); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManyPopped pops more than a script hands out, and again with the same token as if the answer was lost.
func TestManyPopped(t *testing.T) {
	t.Parallel()
	b := open(t, queueredis.Options{})
	push(t, b, jobs(3500, 1))
	l, want := jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: work, Max: 2700}
	claims, err := b.Pop(t.Context(), l, want)
	if err != nil || len(claims) != 2700 {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
	ends := map[string]time.Time{}
	for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
		must(t, err)
		ends[e.ID] = e.Expires
	}
	for _, c := range claims {
		if c.Expires.After(ends[c.ID]) {
			t.Fatalf("the lease of job %s ends at %v, and its claim says %v", c.ID, ends[c.ID], c.Expires)
		}
	}
	if err := settleAll(t.Context(), b, claims[:100]); err != nil {
		t.Fatal(err)
	}
	again, err := b.Pop(t.Context(), l, want)
	if err != nil || len(again) != 2600 {
		t.Fatalf("Pop repeated = %d, %v", len(again), err)
	}
	for i, c := range again {
		if c.ID != claims[100+i].ID {
			t.Fatalf("job %d is %s, and was %s", i, c.ID, claims[100+i].ID)
		}
	}
	if err := settleAll(t.Context(), b, again); err != nil {
		t.Fatal(err)
	}
	c, err := b.Counts(t.Context(), work)
	if err != nil || c[0].Ready != 800 || c[0].Total() != 800 {
		t.Fatalf("Counts = %+v, %v", c, err)
	}
}

// TestLargePopped pops more bytes than a script hands out.
func TestLargePopped(t *testing.T) {
	t.Parallel()
	b := open(t, queueredis.Options{})
	for range 4 {
		push(t, b, jobs(15, 1<<20-100))
	}
	claims, err := popAll(t.Context(), b, 100)
	if err != nil || len(claims) != 60 {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
	if err := settleAll(t.Context(), b, claims); err != nil {
		t.Fatal(err)
	}
}

// TestManyQueues is about more queues than a script looks at.
func TestManyQueues(t *testing.T) {
	t.Parallel()
	const queues = 2300
	for _, shards := range []int{1, 3} {
		b := open(t, queueredis.Options{Shards: shards})
		var records []jobqueue.Record
		var wants []jobqueue.Want
		for i := range queues {
			r := jobqueue.Record{Name: jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: "work"}, Params: []byte(`{}`)}
			if i%2 == 1 {
				r.Delay = time.Minute
			}
			records = append(records, r)
			wants = append(wants, jobqueue.Want{Name: r.Name, Max: 2})
		}
		push(t, b, records)
		if n := readyQueues(t, b); n != queues/2 {
			t.Errorf("Ready yields %d queues, want %d", n, queues/2)
		}
		b.Shift(2 * time.Minute)
		if n := readyQueues(t, b); n != queues {
			t.Errorf("Ready yields %d queues, want %d", n, queues)
		}
		all, err := b.Counts(t.Context())
		if err != nil || len(all) != queues {
			t.Errorf("Counts = %d queues, %v", len(all), err)
		}
		claims, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, wants...)
		if err != nil || len(claims) != queues {
			t.Fatalf("Pop = %d, %v", len(claims), err)
		}
		if err := settleAll(t.Context(), b, claims); err != nil {
			t.Fatal(err)
		}
		if n := readyQueues(t, b); n != 0 {
			t.Errorf("Ready yields %d queues of an empty store", n)
		}
	}
}

func readyQueues(t *testing.T, b jobqueue.Backend) int {
	t.Helper()
	seen := map[jobqueue.Name]bool{}
	for r, err := range b.Ready(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Name] = true
	}
	return len(seen)
}

// TestNothingPilesUp has a store run empty, be maintained, and leave next to nothing behind.
func TestNothingPilesUp(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL})
	for i := range 50 {
		r := jobs(20, 10)
		for k := range r {
			r[k].Domain = fmt.Sprint("wiki", i)
			r[k].Digest = jobqueue.KeyDigest(fmt.Sprint(k))
			r[k].Root.Key = fmt.Sprint("page", k)
			if k%3 == 0 {
				r[k].Delay = time.Minute
			}
		}
		push(t, b, r)
		b.Shift(10 * time.Minute)
		claims, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: r[0].Name, Max: 10})
		if err != nil {
			t.Fatal(err)
		}
		if lost, err := b.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionAbandon, Keep: time.Hour}); err != nil || len(lost) > 0 {
			t.Fatal(lost, err)
		}
		if err := settleAll(t.Context(), b, claims[1:]); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Delete(t.Context(), jobqueue.Filter{Domain: r[0].Domain, States: []jobqueue.State{jobqueue.Ready, jobqueue.Delayed}}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.SetValue(t.Context(), jobqueue.Value{Key: fmt.Sprint("key", i), Data: []byte("x"), Version: jobqueue.AnyVersion, TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Charge(t.Context(), jobqueue.Charge{Key: fmt.Sprint("rate", i), Items: 5, PerSecond: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		b.Shift(jobqueue.RootMemory + time.Hour)
		if _, err := b.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	left, err := c.Keys(t.Context(), "*").Result()
	if err != nil || !slices.Equal(left, []string{"{jobqueue:0}:meta"}) {
		t.Errorf("what is left: %q, %v", left, err)
	}
}

// A clock that was ahead by a day does not have pushes remembered for a day.
func TestForgottenWhenSetBack(t *testing.T) {
	t.Parallel()
	prefix := newPrefix(t, 1)
	b := open(t, queueredis.Options{URL: server.URL, Prefix: prefix})
	c := server.Client()
	defer c.Close()
	b.Shift(24 * time.Hour)
	push(t, b, jobs(1, 1))
	b.Shift(-24 * time.Hour)
	for range 6 {
		push(t, b, jobs(1, 1))
		b.Shift(jobqueue.PushMemory/2 + time.Second)
	}
	n := 0
	for _, generation := range []string{"p0", "p1"} {
		n += int(c.HLen(t.Context(), "{"+prefix+":0}:"+generation).Val())
	}
	if n < 2 || n > 5 {
		t.Errorf("%d of 7 pushes are remembered, want those of twice %v at most", n, jobqueue.PushMemory)
	}
}

// TestTogether has many goroutines push, pop and settle single jobs: far fewer scripts than calls.
func TestTogether(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL})
	const workers, rounds = 40, 25
	do(t, c, "CONFIG", "RESETSTAT")
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range rounds {
				if _, err := b.Push(t.Context(), uuid.New(), jobs(1, 1)); err != nil {
					t.Error(err)
					return
				}
				claims, err := popAll(t.Context(), b, 1)
				if err != nil || len(claims) != 1 {
					t.Errorf("Pop = %d, %v", len(claims), err)
					return
				}
				if err := settleAll(t.Context(), b, claims); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	info, err := c.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	var scripts int
	for line := range strings.Lines(info) {
		fmt.Sscanf(line, "cmdstat_evalsha:calls=%d", &scripts)
	}
	if scripts == 0 || scripts > 3*workers*rounds/4 {
		t.Errorf("%d calls took %d scripts", 3*workers*rounds, scripts)
	}
	audit(t, c, queueredis.DefaultPrefix, 0)
}

// TestManyValues has more values than a script returns, and large ones.
func TestManyValues(t *testing.T) {
	b := open(t, queueredis.Options{})
	for i := range 250 {
		v := jobqueue.Value{Key: fmt.Sprintf("key %03d", i), Data: []byte(strings.Repeat("x", 1000))}
		if _, ok, err := b.SetValue(t.Context(), v); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	all, err := b.Values(t.Context(), "key")
	if err != nil || len(all) != 250 || all[249].Key != "key 249" || len(all[100].Data) != 1000 {
		t.Fatalf("Values = %d, %v", len(all), err)
	}
}

// TestWake has a process wait for what another one pushes and gives back.
func TestWake(t *testing.T) {
	t.Parallel()
	s := private(t)
	here, there := open(t, queueredis.Options{URL: s.URL, Shards: 2}), open(t, queueredis.Options{URL: s.URL, Shards: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if names, err := here.Wait(ctx); err != nil || names != nil {
		t.Fatalf("the first Wait = %v, %v, want that anything may be", names, err)
	}
	woken := func(what string, do func()) {
		t.Helper()
		answer := make(chan []jobqueue.Name, 1)
		waits := make(chan struct{})
		go func() {
			close(waits)
			names, _ := here.Wait(ctx)
			answer <- names
		}()
		<-waits
		do()
		for {
			select {
			case names := <-answer:
				if names != nil && !slices.Contains(names, work) {
					t.Errorf("%s wakes for %v, want %v", what, names, work)
				}
				return
			case <-ctx.Done():
				t.Fatalf("%s wakes nobody", what)
			default:
				// It may have been told before Wait was called.
				claims, err := popAll(ctx, there, 10)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range claims {
					if _, err := there.Settle(ctx, jobqueue.Outcome{Claim: c, Do: jobqueue.ActionGiveBack}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	woken("a push", func() { push(t, there, jobs(1, 1)) })
	woken("giving back", func() {})
}
