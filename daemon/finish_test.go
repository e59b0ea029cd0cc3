package daemon_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/runner"
)

// A process that is to finish claims nothing more, and ends when what runs has ended, in all generations.
func TestFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, runner.Options{Workers: 2, Grace: time.Second})
		finish := make(chan struct{})
		f.push("older", 3*time.Hour)
		ended := f.start(t.Context(), func(o *daemon.Options) { o.Finish = finish })
		time.Sleep(time.Second)
		f.write("two")
		time.Sleep(2 * time.Second)
		f.push("newer", time.Hour)
		time.Sleep(time.Second)
		close(finish)
		time.Sleep(time.Second)
		f.push("late", 0)
		f.write("three")
		synctest.Wait()
		begun := time.Now()
		res := <-ended
		if took := time.Since(begun); took < 2*time.Hour || took > 3*time.Hour {
			t.Errorf("it ended %v later, want the end of the longest job", took)
		}
		if res.Counts.Done != 2 || res.order != daemon.NoOrder || f.word("late") != "" || f.read.Load() != 2 {
			t.Errorf("%v, order %v, %q, %d configurations, want two jobs of two configurations", res.Result, res.order, f.word("late"), f.read.Load())
		}
	})
}

// What a process does of the workers holds after what commands and the configuration say.
func TestPart(t *testing.T) {
	bubble(t, runner.Options{Workers: 8}, func(f *farm) {
		part := func(o *daemon.Options) { o.Part = func(o *runner.Options) { o.Workers /= 4 } }
		f.start(f.t.Context(), part)
		for i := range 10 {
			f.push(string(rune('a'+i)), time.Minute)
		}
		time.Sleep(time.Second)
		if n := f.peak(); n != 2 {
			f.t.Errorf("%d jobs at once, want a fourth of 8", n)
		}
		f.command(daemon.VerbWorkers, "", "16")
		time.Sleep(time.Hour)
		if n := f.peak(); n != 4 {
			f.t.Errorf("%d jobs at once, want a fourth of 16", n)
		}
	})
}

// peak returns how many jobs ran at once at most.
func (f *farm) peak() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// A process that is told to end before it has begun ends well.
func TestEndBeforeBegin(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		ctx, stop := context.WithCancel(f.t.Context())
		stop()
		if e := <-f.start(ctx); e.Reached != runner.Stopped || e.Err != nil {
			f.t.Errorf("it ended as %v, %v", e.Reached, e.Err)
		}
	})
}
