//go:build unix

package soak_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// TestPartitionDies has one of three partitions die while jobs are pushed and run: pushes go on, all jobs of the
// others run meanwhile, those of the one that died when it is back, and none twice but what was running at the time.
func TestPartitionDies(t *testing.T) {
	f := newFederation(t)
	total, batch := 10_000, 100
	if _, asked := duration(t); asked {
		total, batch = 100_000, 500
	}
	runners := []*runner{f.runner(0), f.runner(1)}
	slowest := f.push(0, total/2-batch, batch)
	f.await(func(c jobqueue.Counts, _ error) bool { return c.Ready+c.Claimed < total/2-batch })
	// Runners may be faster than pushes: these are there when q1 dies.
	f.delay = 5 * time.Second
	slowest = max(slowest, f.push(total/2-batch, total/2, batch))
	f.delay = 0
	killed := make(chan error)
	go func() { killed <- f.dies.Kill() }() // while the next ones are pushed
	atOnce := f.push(total/2, total*3/4, batch)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	atOnce = max(atOnce, f.push(total*3/4, total, batch))
	if at := f.homes(total * 3 / 4); at["q1"] > 0 || at["q2"] == 0 || at["q3"] == 0 {
		t.Errorf("after the death of q1 jobs went to %v", at)
	}
	f.await(func(c jobqueue.Counts, err error) bool {
		part, ok := errors.AsType[*jobqueue.PartError](err)
		return ok && slices.Equal(part.Parts, []string{"q1"}) && c.Total() == 0
	})
	before := map[string]int{}
	for _, r := range runners {
		r.count(t, before)
	}
	waiting := 0
	for _, id := range f.ids {
		switch {
		case before[id] > 0:
		case strings.HasPrefix(id, "q1:"):
			waiting++
		default:
			t.Errorf("job %s did not run while q1 was away", id)
		}
	}
	if err := f.dies.Restart(); err != nil {
		t.Fatal(err)
	}
	f.await(func(c jobqueue.Counts, err error) bool { return err == nil && c.Total() == 0 })
	seen, starts := map[string]int{}, 0
	for _, r := range runners {
		if res := r.stop(t); res.Reached != "stopped" || res.Counts.Failed > 0 {
			t.Errorf("a runner ended with %+v\n%s", res, r.stderr.String())
		}
		starts += r.count(t, seen)
	}
	twice := 0
	for id, n := range seen {
		if n > 1 {
			twice++
			if n > 2 || !strings.HasPrefix(id, "q1:") {
				t.Errorf("job %s started %d times", id, n)
			}
		}
	}
	for _, id := range f.ids {
		if seen[id] == 0 {
			t.Errorf("job %s never ran", id)
		}
		delete(seen, id)
	}
	t.Logf("%d jobs; %d waited for q1; %d started twice, %d more were stored by a push that was not answered; pushes took up to %v, and %v after the death",
		total, waiting, twice, len(seen), slowest, atOnce)
	if most := len(runners) * procs; twice > most {
		t.Errorf("%d jobs started twice, want at most the %d that can have been running at the time", twice, most)
	}
	if len(seen) > batch {
		t.Errorf("%d jobs ran that nobody knows of, want at most those of one push: %v", len(seen), slices.Sorted(maps.Keys(seen)))
	}
	if atOnce > 2*time.Second {
		t.Errorf("a push took %v after the death, want 2s at most", atOnce)
	}
	if waiting == 0 {
		t.Error("no job waited for q1, so that nothing is shown")
	}
}

// A federationSite is a farm of three partitions: two Redis servers, of which q1 is to die, and a PostgreSQL one.
type federationSite struct {
	*site
	dies  *redistest.Server
	ids   []string      // of the jobs, in the order of the pushes
	delay time.Duration // of what is pushed
}

func newFederation(t *testing.T) *federationSite {
	f := &federationSite{site: &site{T: t, dir: t.TempDir()}}
	f.farm = filepath.Join(f.dir, "farm.yaml")
	redis := func() *redistest.Server {
		s, err := redistest.Private()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	f.dies = redis()
	other := redis()
	database, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	schema, drop := database.Schema()
	t.Cleanup(func() {
		if err := errors.Join(drop(), database.Stop()); err != nil {
			t.Error(err)
		}
	})
	if err := postgres.Migrate(t.Context(), database.URL, &postgres.Options{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`backends:
  q1: {kind: redis, url: %q}
  q2: {kind: redis, url: %q}
  q3: {kind: postgres, url: %q, schema: %s}
  all: {kind: federated, partitions: {q1: 1, q2: 1, q3: 1}}
default: {maxTries: 3}
`, f.dies.URL, other.URL, database.URL, schema)
	if err := os.WriteFile(f.farm, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	farm, err := config.Load(f.farm)
	if err != nil {
		t.Fatal(err)
	}
	farm.Logger = slog.New(slog.DiscardHandler)
	queues, err := farm.Open(t.Context(), &jobqueue.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := queues.Close(); err != nil {
			t.Error(err)
		}
	})
	f.group = queues.On("wiki")
	return f
}

func (f *federationSite) runner(n int) *runner {
	return start(f.T, f.dir, n, "--config", f.farm, "--procs", fmt.Sprint(procs))
}

// push pushes the jobs from first to before last, every second of them deduplicated, and returns how long the slowest push took.
func (f *federationSite) push(first, last, batch int) (slowest time.Duration) {
	f.Helper()
	for n := first; n < last; n += batch {
		specs := make([]jobqueue.Spec, batch)
		for i := range specs {
			specs[i].Delay = f.delay
			specs[i].Job = &note{Pushed: time.Now(), Text: fmt.Sprint(n + i), Takes: time.Millisecond}
			if i%2 == 0 {
				specs[i].DedupeKey = fmt.Sprint(n + i)
			}
		}
		began := time.Now()
		pushed, err := f.group.Push(f.Context(), specs...)
		slowest = max(slowest, time.Since(began))
		if err != nil || pushed.Stored() != batch {
			f.Fatalf("Push stored %d of %d, %v", pushed.Stored(), batch, err)
		}
		for _, p := range pushed {
			f.ids = append(f.ids, p.ID)
		}
	}
	return slowest
}

// homes returns how many of the jobs from first on are at each partition.
func (f *federationSite) homes(first int) map[string]int {
	at := map[string]int{}
	for _, id := range f.ids[first:] {
		home, _, _ := strings.Cut(id, ":")
		at[home]++
	}
	return at
}

// await waits until what is counted, with the error that comes with it, is as wanted.
func (f *federationSite) await(want func(jobqueue.Counts, error) bool) {
	f.Helper()
	b := f.group.Backends()[0]
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(4 * time.Minute)
	for {
		counts, err := b.Counts(f.Context(), jobqueue.Name{Domain: "wiki", Type: "note"})
		if len(counts) == 1 && want(counts[0], err) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			f.Fatalf("waited for four minutes: %v, %v", counts, err)
		}
	}
}
