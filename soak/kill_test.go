package soak_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// Each runner of TestKills runs so many jobs at once, and settles up to so many in one call.
const (
	procs  = 8
	settle = 1000
)

// TestKills kills one of three runners with SIGKILL again and again while
// they have jobs in hand: none is lost, none abandoned, and few start again.
func TestKills(t *testing.T) {
	for name, d := range map[string]drill{
		"short jobs":       {most: 500 * time.Millisecond},
		"beside long jobs": {most: 200 * time.Millisecond, long: 300 * time.Millisecond},
	} {
		t.Run(name, d.run)
	}
}

// A drill says how runners are killed.
type drill struct {
	most time.Duration // at most so long after the one before, at least 50 ms
	long time.Duration // how long every fiftieth job runs, for which the others that must run alone have to wait; 0 for none
}

// jobs returns jobs of 5 ms and some long ones. These cannot help being killed often.
func (d drill) jobs(first, n int) []jobqueue.Spec {
	specs := make([]jobqueue.Spec, n)
	for i := range specs {
		job := &note{Pushed: time.Now(), Text: fmt.Sprint(first + i), Takes: 5 * time.Millisecond}
		specs[i].Job = job
		if d.long > 0 && i%50 == 0 {
			job.Takes, specs[i].MaxTries = d.long, 1000
		}
	}
	return specs
}

func (d drill) run(t *testing.T) {
	length, asked := duration(t)
	wanted := 4
	if asked {
		wanted = 30
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	dir := t.TempDir()
	farm := filepath.Join(dir, "farm.yaml")
	if err := os.WriteFile(farm, []byte("backends: {main: {kind: sqlite, path: jobs.db}}\ndefault: {lease: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := sqlite.Open(filepath.Join(dir, "jobs.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b})
	args := []string{"--config", farm, "--procs", fmt.Sprint(procs)}
	runners := make([]*runner, 3)
	for i := range runners {
		runners[i] = start(t, dir, i, args...)
	}

	const batch = 1000
	pushed, kills := 0, 0
	for end := time.Now().Add(length); kills < wanted || time.Now().Before(end); {
		for backlog(t, g) < 4*batch {
			if _, err := g.Push(t.Context(), d.jobs(pushed, batch)...); err != nil {
				t.Fatal(err)
			}
			pushed += batch
		}
		<-time.After(50*time.Millisecond + time.Duration(rnd.Int64N(int64(d.most-50*time.Millisecond))))
		i := rnd.IntN(len(runners))
		if err := runners[i].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		runners[i].cmd.Wait()
		kills++
		runners[i] = start(t, dir, i, args...)
	}
	await(t, g, func(c jobqueue.Counts) bool { return c.Ready+c.Delayed+c.Claimed == 0 })

	seen, starts := map[string]int{}, 0
	for _, r := range runners {
		r.stop(t)
		starts += r.count(t, seen)
	}
	counts, err := g.Counts(t.Context(), jobqueue.Name{Domain: "wiki", Type: "note"})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d jobs, %d kills, %d extra starts", pushed, kills, starts-pushed)
	if len(seen) != pushed {
		t.Errorf("%d jobs started, %d were pushed", len(seen), pushed)
	}
	if counts[0].Abandoned > 0 {
		t.Errorf("%v, want none abandoned", counts[0])
		for e, err := range g.List(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Abandoned}}) {
			t.Errorf("%d starts of %v, %v", seen[e.ID], e, err)
		}
	}
	if extra := starts - pushed; extra > kills*(procs+settle) {
		t.Errorf("%d extra starts, want at most %d for each kill", extra, procs+settle)
	}
	sound(t, filepath.Join(dir, "jobs.db"))
}

// backlog returns how many jobs are ready.
func backlog(t *testing.T, g *jobqueue.Group) int {
	t.Helper()
	counts, err := g.Counts(t.Context(), jobqueue.Name{Domain: "wiki", Type: "note"})
	if err != nil {
		t.Fatal(err)
	}
	return counts[0].Ready
}

// sound checks the file as SQLite does.
func sound(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var answer string
	if err := db.QueryRow("pragma integrity_check").Scan(&answer); err != nil || answer != "ok" {
		t.Errorf("integrity check: %s, %v", answer, err)
	}
}
