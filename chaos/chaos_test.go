//go:build linux

// Package chaos_test lets things go wrong, at random, while jobs are pushed and run, and checks from what every process
// wrote down that no promise was broken.
package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

var (
	onlyBackend = flag.String("backend", "", "the only backend to test")
	length      = flag.Duration("time", 5*time.Second, "how long things go wrong")
	seedFlag    = flag.Uint64("seed", 0, "of what goes wrong; 0 is a new one")
)

// pause is how long a producer waits between two pushes, about.
const pause = 50 * time.Millisecond

// A subject is a store under test.
type subject struct {
	name  string
	kinds []string // of the places of a farm; none for the memory backend
}

var subjects = []subject{
	{"memory", nil},
	{"sqlite", []string{"sqlite"}},
	{"postgres", []string{"postgres"}},
	{"redis", []string{"redis"}},
	{"postgres+redis", []string{"postgres", "redis"}},
	{"redis+redis+redis", []string{"redis", "redis", "redis"}},
}

// keep returns where the subject's servers are to be.
func (s subject) keep(t *testing.T) (k kept) {
	t.Helper()
	for i, kind := range s.kinds {
		p := place{Name: fmt.Sprint(kind, i), Kind: kind, At: "jobs.db"}
		switch kind {
		case "postgres":
			p.At = address(t) + ":5432"
		case "redis":
			p.At = address(t) + ":6379"
		}
		k.Places = append(k.Places, p)
	}
	return k
}

// stage returns a new stage with workers who are at work.
func (s subject) stage(t *testing.T, seed uint64) stage {
	t.Helper()
	if s.kinds == nil {
		return newTroupe(t, seed)
	}
	f := newFarm(t, seed, s.keep(t))
	f.people(t)
	return f
}

// each runs a test for every subject that is asked for, at the same time.
func each(t *testing.T, test func(t *testing.T, s subject, seed uint64)) {
	found := false
	for _, s := range subjects {
		if *onlyBackend != "" && *onlyBackend != s.name {
			continue
		}
		found = true
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			seed := *seedFlag
			if seed == 0 {
				seed = 1 + rand.Uint64N(1e9)
			}
			t.Logf("seed %d", seed)
			test(t, s, seed)
		})
	}
	if !found {
		t.Fatalf("there is no backend %q", *onlyBackend)
	}
}

// TestFaults has troubles happen for a while. When they are over all jobs must be run soon, and nothing that any process saw
// may break a promise.
func TestFaults(t *testing.T) {
	each(t, func(t *testing.T, s subject, seed uint64) {
		st := s.stage(t, seed)
		all := schedule(seed, *length, st.cast())
		log, err := newJournal(st.logs(), "faults")
		if err != nil {
			t.Fatal(err)
		}
		d := &drill{T: t, stage: st, log: log, busy: map[string]*sync.Mutex{}}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s with seed %d:\n%s", s.name, seed, d.story(all))
			}
		})
		d.run(all)
		d.drain()
		d.check(s.name)
	})
}

// A drill plays a schedule on a stage.
type drill struct {
	*testing.T
	stage
	log   *journal
	began time.Time
	over  int64 // when the troubles were

	mu   sync.Mutex
	busy map[string]*sync.Mutex // by target: held while it is in trouble, and until it has recovered
}

// turn returns what is held while a target is in trouble.
func (d *drill) turn(target string) *sync.Mutex {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[target] == nil {
		d.busy[target] = &sync.Mutex{}
	}
	return d.busy[target]
}

// mostTold is how many troubles a failure prints; all are in a file.
const mostTold = 30

// story tells what has happened by now, the last of it, and writes down all that was to happen.
func (d *drill) story(all []trouble) string {
	var b strings.Builder
	past := all
	for i, t := range all {
		fmt.Fprintln(&b, t)
		if t.At > time.Since(d.began) {
			past = all[:min(i, len(past))]
		}
	}
	path := filepath.Join(d.logs(), "schedule")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		d.Error(err)
	}
	b.Reset()
	fmt.Fprintf(&b, "the last of what happened; %s has all of it\n", path)
	for _, t := range past[max(0, len(past)-mostTold):] {
		fmt.Fprintln(&b, t)
	}
	return b.String()
}

// run has one trouble after the other begin when it is time for it.
func (d *drill) run(all []trouble) {
	ctx, cancel := context.WithTimeoutCause(d.Context(), *length+patience, fmt.Errorf("it takes %v longer than it should", patience))
	defer cancel()
	d.began = time.Now()
	var under sync.WaitGroup
	var ended time.Time // of the last trouble that is over
	play := func(t trouble) {
		turn := d.turn(t.Target)
		turn.Lock()
		defer turn.Unlock()
		over, end := context.WithTimeout(ctx, t.For)
		defer end()
		begin := now()
		if err := d.play(ctx, t, over.Done()); err != nil {
			d.Errorf("%v: %v", t, err)
			cancel()
		}
		d.log.add(event{Kind: fault, What: string(t.Kind), Target: t.Target, Begin: begin, End: now()})
		d.mu.Lock()
		defer d.mu.Unlock()
		ended = time.Now()
	}
	for _, t := range all {
		wait(ctx, time.Until(d.began.Add(t.At)))
		if ctx.Err() != nil {
			break
		}
		if t.Kind == stepTime {
			under.Wait()
			wait(ctx, quietTime-time.Since(ended)) // What was in trouble may have taken long to recover.
			play(t)
		} else {
			under.Go(func() { play(t) })
		}
	}
	wait(ctx, time.Until(d.began.Add(*length)))
	under.Wait()
	if d.Failed() {
		d.FailNow()
	}
	if ctx.Err() != nil {
		d.Fatal(context.Cause(ctx))
	}
	d.over = now()
}

// drain waits until all that was pushed has been run, and ends all processes.
func (d *drill) drain() {
	ctx, cancel := context.WithTimeoutCause(d.Context(), patience, fmt.Errorf("not in %v", patience))
	defer cancel()
	if err := d.rest(ctx); err != nil {
		d.Fatal(err)
	}
	var left []jobqueue.Counts
	for {
		var err error
		if left, err = d.look().Counts(ctx); err == nil && total(left) == 0 {
			break
		}
		if wait(ctx, 20*time.Millisecond); ctx.Err() != nil {
			for e, err := range d.look().List(d.Context(), jobqueue.Filter{Limit: 20}) {
				d.Logf("%+v, %v", e, err)
			}
			d.Fatalf("jobs are left: %+v, %v: %v", left, err, context.Cause(ctx))
		}
	}
	d.Logf("all was run %v after the last trouble", time.Duration(now()-d.over)*time.Microsecond)
	if err := d.end(ctx); err != nil {
		d.Fatal(err)
	}
}

func total(counts []jobqueue.Counts) (n int) {
	for _, c := range counts {
		n += c.Total()
	}
	return n
}

// check reads what was written, and says what must not be.
func (d *drill) check(name string) {
	log, err := readLog(d.logs())
	if err != nil {
		d.Fatal(err)
	}
	c := newChecker(log, strings.Contains(name, "+"))
	found := c.check(true)
	for _, s := range found[:min(len(found), 20)] {
		d.Error(s)
	}
	if len(found) > 20 {
		d.Errorf("%d more", len(found)-20)
	}
	d.Log(c.summary())
}
