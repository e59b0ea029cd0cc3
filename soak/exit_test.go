package soak_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

// TestExit has one of many jobs end its process whenever it runs: it is abandoned, and no other.
func TestExit(t *testing.T) {
	s := newSite(t)
	s.push(10_000, func(i int, j *note) { j.Exits = i == 5000 })
	ended := make(chan int, 2)
	runners := []*runner{s.watched(0, ended), s.watched(1, ended)}
	exits := 0
	await(t, s.group, func(c jobqueue.Counts) bool {
		select {
		case i := <-ended:
			if status := runners[i].cmd.ProcessState.ExitCode(); status != exitStatus {
				t.Fatalf("a runner ended with %d, not by the job: %s", status, runners[i].stderr.String())
			}
			exits++
			runners[i] = s.watched(i, ended)
		default:
		}
		return c.Ready+c.Delayed+c.Claimed == 0
	})
	seen, starts := map[string]int{}, 0
	for _, r := range runners {
		r.cmd.Process.Kill()
		starts += r.count(t, seen)
	}
	all := s.abandoned()
	if len(all) != 1 || !strings.Contains(string(all[0].Params), `"Exits":true`) {
		t.Fatalf("abandoned: %+v, want the job that exits", all)
	}
	bad := all[0]
	t.Logf("%d jobs, %d extra starts; the one that exits started %d times: %s", s.pushed, starts-s.pushed, seen[bad.ID], bad.LastError)
	if seen[bad.ID] != exits || bad.LastError != "tries used up: 0 failures, 5 claims ran out, the last ones while the job ran alone" {
		t.Errorf("after %d exits it is %+v", exits, bad)
	}
	// Twice it may have been somebody else's doing, then it has its tries.
	if exits != 2+3 {
		t.Errorf("it ended %d processes, want 5", exits)
	}
	if len(seen) != s.pushed {
		t.Errorf("%d jobs started, want %d", len(seen), s.pushed)
	}
	sound(t, s.backend.Path())
}

// TestTenKills kills the only runner again and again with many jobs in hand: no job pays for it.
func TestTenKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t)
	const kills = 10
	started := int64(0)
	for range kills {
		if n := backlog(t, s.group); n < 2000 {
			s.push(2000-n, func(_ int, j *note) { j.Takes = 2 * time.Millisecond })
		}
		r := s.start(0)
		await(t, s.group, func(jobqueue.Counts) bool {
			info, err := os.Stat(r.starts)
			return err == nil && info.Size() > started
		})
		<-time.After(time.Duration(rnd.IntN(300)) * time.Millisecond)
		if err := r.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		r.cmd.Wait()
		if info, err := os.Stat(r.starts); err == nil {
			started = info.Size()
		}
	}
	left := backlog(t, s.group)
	r := s.start(0)
	await(t, s.group, func(c jobqueue.Counts) bool { return c.Ready+c.Delayed+c.Claimed == 0 })
	r.stop(t)
	seen := map[string]int{}
	starts := r.count(t, seen)
	t.Logf("%d jobs, %d extra starts; %d were left after the last kill", s.pushed, starts-s.pushed, left)
	if all := s.abandoned(); len(all) > 0 {
		t.Errorf("%d abandoned, such as %+v", len(all), all[0])
	}
	if len(seen) != s.pushed || left == 0 {
		t.Errorf("%d jobs started, want %d; %d were left after the last kill, want some", len(seen), s.pushed, left)
	}
	sound(t, s.backend.Path())
}
