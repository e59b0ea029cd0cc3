//go:build unix

package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
)

// A database is a site with a server of its own.
type database struct {
	*site
	server  *pgtest.Server
	schema  string
	backend *postgres.Backend
}

func newDatabase(t *testing.T, lease time.Duration) *database {
	t.Helper()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	schema, drop := server.Schema()
	t.Cleanup(func() { drop() })
	o := &postgres.Options{Schema: schema}
	if err := postgres.Migrate(t.Context(), server.URL, o); err != nil {
		t.Fatal(err)
	}
	d := &database{site: &site{T: t, dir: t.TempDir()}, server: server, schema: schema}
	if d.backend, err = postgres.Open(t.Context(), server.URL, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.backend.Close() })
	d.connect(server.URL, lease)
	d.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: d.backend})
	return d
}

// connect has runners that begin from now on use a URL.
func (d *database) connect(url string, lease time.Duration) {
	d.Helper()
	d.farm = filepath.Join(d.dir, "farm.yaml")
	text := fmt.Sprintf("backends: {main: {kind: postgres, url: %q, schema: %s}}\ndefault: {lease: %v, maxTries: 3}\n", url, d.schema, lease)
	if err := os.WriteFile(d.farm, []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

// runner starts the n'th runner, whose connections have a name of their own.
func (d *database) runner(n int) *runner { return d.runnerWith(n, procs) }

// runnerWith starts the n'th runner, with so many workers.
func (d *database) runnerWith(n, workers int) *runner {
	d.Helper()
	d.Setenv("PGAPPNAME", fmt.Sprint("runner ", n))
	return d.startWith(n, workers)
}

// freeze stops a process, but not within a transaction: what that has locked nobody else could have.
func (d *database) freeze(r *runner, n int) {
	d.Helper()
	c, err := pgx.Connect(d.Context(), d.server.URL)
	if err != nil {
		d.Fatal(err)
	}
	defer c.Close(context.Background())
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			d.Fatal(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(r.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			d.Fatalf("the runner does not stop: %v, %v", status, err)
		}
		// What the server does for it by itself is soon done.
		var in int
		for range 100 {
			err := c.QueryRow(d.Context(), "select count(*) from pg_stat_activity where application_name = $1 and state <> 'idle' and pid <> pg_backend_pid()", fmt.Sprint("runner ", n)).Scan(&in)
			if err != nil {
				d.Fatal(err)
			}
			if in == 0 {
				return
			}
		}
		r.thaw(d.T)
	}
	d.Fatal("the runner is in a transaction all the time")
}

// idle waits until nothing is left to be run.
func (d *database) idle() {
	d.Helper()
	await(d.T, d.group, func(c jobqueue.Counts) bool { return c.Ready+c.Delayed+c.Claimed == 0 })
}

// TestPostgresKills is TestKills on PostgreSQL: runners are killed in the middle of what they do.
func TestPostgresKills(t *testing.T) {
	length, asked := span(t)
	kills := 3
	if asked {
		kills = int(length / (2 * time.Second))
	}
	d := newDatabase(t, time.Second)
	runners := []*runner{d.runner(0), d.runner(1)}
	for range kills {
		if n := backlog(t, d.group); n < 4000 {
			d.push(4000-n, func(_ int, j *note) { j.Takes = 5 * time.Millisecond })
		}
		<-time.After(50*time.Millisecond + time.Duration(rand.IntN(450))*time.Millisecond)
		i := rand.IntN(len(runners))
		if err := runners[i].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		runners[i].cmd.Wait()
		runners[i] = d.runner(i)
	}
	d.idle()
	seen, starts := map[string]int{}, 0
	for _, r := range runners {
		r.stop(t)
		starts += r.count(t, seen)
	}
	t.Logf("%d jobs, %d kills, %d extra starts", d.pushed, kills, starts-d.pushed)
	if len(seen) != d.pushed {
		t.Errorf("%d jobs started, %d were pushed", len(seen), d.pushed)
	}
	if extra := starts - d.pushed; extra > kills*(procs+settle) {
		t.Errorf("%d extra starts, want at most %d for each kill", extra, procs+settle)
	}
	if all := d.abandoned(); len(all) > 0 {
		t.Errorf("%d abandoned, such as %+v", len(all), all[0])
	}
}

// TestPostgresFreeze is TestFreeze on PostgreSQL: a runner that is stopped until others have taken over its jobs starts none
// of them when it goes on, and what it says of those that it ran is refused.
func TestPostgresFreeze(t *testing.T) {
	const quick, slow, buffered = 50, procs, 300
	d := newDatabase(t, time.Second)
	d.push(quick+slow+buffered, func(i int, j *note) {
		j.Takes = 5 * time.Millisecond
		if quick <= i && i < quick+slow {
			j.Takes = 900 * time.Millisecond // shorter than a runner has patience with what is behind them
		}
	})
	frozen := d.runner(0)
	held := 0
	await(t, d.group, func(c jobqueue.Counts) bool {
		held = c.Claimed
		return held >= slow+100 && frozen.count(t, map[string]int{}) == quick+slow && c.Total() == slow+buffered
	})
	d.freeze(frozen, 0)
	await(t, d.group, func(c jobqueue.Counts) bool { // It may have claimed more, or just be doing so.
		same := c.Claimed == held
		held = c.Claimed
		return same
	})
	before := map[string]int{}
	if n := frozen.count(t, before); n != quick+slow {
		t.Fatalf("%d jobs started before, want %d", n, quick+slow)
	}
	other := d.runner(1)
	await(t, d.group, func(c jobqueue.Counts) bool { return c.Total() == 0 })
	if res := other.stop(t); res.Counts.Done != slow+buffered || res.Counts.Lost > 0 {
		t.Errorf("the other runner: %+v, want %d done", res, slow+buffered)
	}
	frozen.thaw(t)
	d.push(1, nil)
	await(t, d.group, func(c jobqueue.Counts) bool { return c.Total() == 0 })
	res := frozen.stop(t)
	t.Logf("%d claims held when it was stopped; %+v", held, res.Counts)
	if res.Counts.Lost != held || res.Counts.Done != quick+1 {
		t.Errorf("the runner that was stopped: %+v, want %d lost and %d done\n%s", res, held, quick+1, frozen.stderr.String())
	}
	seen := map[string]int{}
	if n := frozen.count(t, seen); n != quick+slow+1 {
		t.Errorf("it started %d jobs after it was stopped, want only the new one", n-quick-slow)
	}
	other.count(t, seen)
	for id, n := range seen {
		if n > 2 || n == 2 && before[id] == 0 {
			t.Errorf("job %s started %d times", id, n)
		}
	}
	if len(seen) != d.pushed {
		t.Errorf("%d jobs started, want %d", len(seen), d.pushed)
	}
}

// TestPostgresAway crashes the server and leaves it away for three leases: no job runs twice, even if one runner is slow to come back.
func TestPostgresAway(t *testing.T) {
	const lease = 2 * time.Second
	d := newDatabase(t, lease)
	runners := []*runner{d.runner(0), d.runner(1)}
	seen := map[string]int{}
	d.push(4000, func(_ int, j *note) { j.Takes = 5 * time.Millisecond })
	await(t, d.group, func(c jobqueue.Counts) bool { return c.Claimed > 100 && c.Total() < d.pushed-500 })
	if err := d.server.Kill(); err != nil {
		t.Fatal(err)
	}
	<-time.After(3 * lease)
	// One is not there yet when the other first looks for leases that have ended.
	if err := runners[0].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := d.server.Restart(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	c, err := pgx.Connect(t.Context(), d.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	swept := "select swept from " + pgx.Identifier{d.schema, "sweep"}.Sanitize()
	await(t, d.group, func(jobqueue.Counts) bool {
		var at int64
		if err := c.QueryRow(t.Context(), swept).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at > back.UnixMicro()
	})
	runners[0].thaw(t)
	d.idle()
	took := time.Since(back)
	starts, lost := 0, 0
	for _, r := range runners {
		res := r.stop(t)
		lost += res.Counts.Lost
		if res.Counts.Failed > 0 {
			t.Errorf("%+v, want none that failed", res.Counts)
		}
		starts += r.count(t, seen)
	}
	t.Logf("%d jobs, %d starts, %d claims lost; all ran %v after the server was back", d.pushed, starts, lost, took)
	if starts != d.pushed || len(seen) != d.pushed || lost > 0 {
		t.Errorf("%d starts of %d jobs, %d claims lost, want %d starts", starts, len(seen), lost, d.pushed)
	}
}

// TestPostgresTakeover kills a runner that runs a thousand jobs, while another has as many idle workers.
func TestPostgresTakeover(t *testing.T) {
	const jobs = 1000
	_, asked := span(t)
	lease := time.Second
	if asked {
		lease = 10 * time.Second
	}
	d := newDatabase(t, lease)
	d.push(jobs, func(_ int, j *note) { j.Takes = time.Hour })
	killed := d.runnerWith(0, jobs)
	started := func(r *runner) bool { return r.count(t, map[string]int{}) == jobs }
	await(t, d.group, func(c jobqueue.Counts) bool { return started(killed) })
	other := d.runnerWith(1, jobs)
	begin := time.Now()
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var claimable time.Duration
	await(t, d.group, func(c jobqueue.Counts) bool {
		if claimable == 0 && c.Ready > 0 {
			claimable = time.Since(begin)
		}
		return started(other)
	})
	took := time.Since(begin)
	t.Logf("with a lease of %v the first were seen ready %v after the kill, all %d jobs ran again after %v", lease, claimable, jobs, took)
	if asked && took > 12*time.Second {
		t.Error("it must be 12 s at most")
	}
}

// TestPostgresLong has jobs take ten leases while their runner lives and another one has nothing to do: none runs twice.
func TestPostgresLong(t *testing.T) {
	const jobs = 20
	_, asked := span(t)
	lease, leases := 2*time.Second, 2
	if asked {
		lease, leases = time.Second, 10
	}
	d := newDatabase(t, lease)
	d.push(jobs, func(_ int, j *note) { j.Takes = time.Duration(leases) * lease })
	runners := []*runner{d.runnerWith(0, jobs)}
	await(t, d.group, func(c jobqueue.Counts) bool { return c.Claimed == jobs })
	runners = append(runners, d.runnerWith(1, jobs))
	d.idle()
	seen, starts := map[string]int{}, 0
	for _, r := range runners {
		if res := r.stop(t); res.Counts.Failed+res.Counts.Lost+res.Counts.Unsettled > 0 {
			t.Errorf("%+v, want none failed or lost\n%s", res.Counts, r.stderr.String())
		}
		starts += r.count(t, seen)
	}
	if starts != jobs || len(seen) != jobs {
		t.Errorf("%d starts of %d jobs, want each of %d once", starts, len(seen), jobs)
	}
}

// started returns how long after its push a job was started, 0 if it was not.
func (r *runner) started(t *testing.T, id string) time.Duration {
	t.Helper()
	text, err := os.ReadFile(r.starts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	_, after, found := strings.Cut("\n"+string(text), "\n"+id+" ")
	micros, _, whole := strings.Cut(after, "\n")
	if !found || !whole {
		return 0
	}
	n, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Microsecond
}
