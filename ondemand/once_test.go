package ondemand_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// traced calls Once and returns what it traced, with what it returned.
func traced(t *testing.T, ctx context.Context, s *site, o ondemand.Once) (lines string, ran bool, err error) {
	t.Helper()
	var all []string
	o.Trace = func(line string) { all = append(all, line) }
	_, ran, err = s.Once(ctx, "wiki", o)
	return strings.Join(all, "; "), ran, err
}

// One runs, one waits for its turn, and those that may not wait or need not leave.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a, b := newSite(t, c, nothing), newSite(t, c, nothing)
		if got, ran, err := traced(t, t.Context(), a, ondemand.Once{}); got != "Begin wiki" || !ran || err != nil {
			t.Fatalf("the first: %q, %v, %v", got, ran, err)
		}
		before, err := a.leases.Read(t.Context(), "wiki")
		if err != nil {
			t.Fatal(err)
		}
		if got, ran, err := traced(t, t.Context(), b, ondemand.Once{NoDelay: true}); got != "No-delay exit wiki" || ran || err != nil {
			t.Errorf("one without delay: %q, %v, %v", got, ran, err)
		}
		if got, ran, err := traced(t, t.Context(), b, ondemand.Once{NoLease: true}); got != "Begin wiki" || !ran || err != nil {
			t.Errorf("one without lease: %q, %v, %v", got, ran, err)
		}
		if after, err := a.leases.Read(t.Context(), "wiki"); err != nil || after.Token != before.Token || after.Next.ID != "" {
			t.Errorf("the lease was %+v and is %+v, %v", before, after, err)
		}
		go func() {
			if got, ran, err := traced(t, t.Context(), a, ondemand.Once{}); got != "On-deck wiki, for 1m0s; Begin wiki" || !ran || err != nil {
				t.Errorf("the second: %q, %v, %v", got, ran, err)
			}
		}()
		synctest.Wait()
		if got, ran, err := traced(t, t.Context(), b, ondemand.Once{}); got != "Not needed wiki" || ran || err != nil {
			t.Errorf("the third: %q, %v, %v", got, ran, err)
		}
		pause(2 * time.Minute)
		a.began(t, 0, time.Minute)
		b.began(t, 0)
	})
}

// One that is disabled runs all the same, one that is read-only does not, and one that may not wait does not.
func TestOnceSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s ondemand.Switch
		w := newSite(t, queuememory.New(), nothing, func(o *ondemand.Options) { o.Switch = func(string) ondemand.Switch { return s } })
		s.ReadOnly = "moving"
		if _, ran, err := traced(t, t.Context(), w, ondemand.Once{NoLease: true}); ran || !errors.Is(err, jobqueue.ErrReadOnly) || !strings.Contains(err.Error(), "moving") {
			t.Errorf("one that is read-only: %v, %v", ran, err)
		}
		s = ondemand.Switch{Disabled: true}
		if _, ran, err := traced(t, t.Context(), w, ondemand.Once{}); !ran || err != nil {
			t.Errorf("one that is disabled: %v, %v", ran, err)
		}
		s = ondemand.Switch{NoDelay: true}
		if got, ran, err := traced(t, t.Context(), w, ondemand.Once{}); got != "No-delay exit wiki" || ran || err != nil {
			t.Errorf("one that may not wait: %q, %v, %v", got, ran, err)
		}
	})
}

// Who is asked to end on deck leaves the place at once, and who is at work ends its lease.
func TestOnceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		s := newSite(t, c, func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			time.Sleep(90 * time.Second) // jobs may finish, for longer than a TTL
			return 3, nil
		})
		asked := errors.New("asked")
		ctx, end := context.WithCancelCause(t.Context())
		ended := make(chan error, 2)
		for range 2 {
			go func() {
				run, ran, err := s.Once(ctx, "wiki", ondemand.Once{})
				if ran && (run.Err != nil || run.Outcome != "3 jobs") {
					t.Errorf("a run that was asked to end: %+v", run)
				}
				ended <- err
			}()
			synctest.Wait()
		}
		if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || r.Next.ID == "" {
			t.Fatalf("nobody is on deck: %+v, %v", r, err)
		}
		end(asked)
		synctest.Wait()
		if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || r.Next.ID != "" || r.Over {
			t.Errorf("after the end the lease is %+v, %v; want nobody on deck and the run not over", r, err)
		}
		time.Sleep(80 * time.Second)
		if g, ran, err := traced(t, t.Context(), newSite(t, c, nothing), ondemand.Once{NoDelay: true}); ran || err != nil {
			t.Errorf("while jobs finish another one begins: %q, %v", g, err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, asked) {
				t.Errorf("Once = %v, want the cause", err)
			}
		}
		if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || !r.Over || r.Outcome != "3 jobs" {
			t.Errorf("at last the lease is %+v, %v", r, err)
		}
	})
}

// A Runner that is closed has Once end, too.
func TestOnceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		if _, _, err := traced(t, t.Context(), s, ondemand.Once{}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, _, err := s.Once(t.Context(), "wiki", ondemand.Once{})
			ended <- err
		}()
		synctest.Wait()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		closed := time.Now()
		if err := <-ended; !errors.Is(err, ondemand.ErrClosed) || time.Since(closed) > 0 {
			t.Errorf("Once on deck = %v, want ErrClosed", err)
		}
		if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || r.Next.ID != "" {
			t.Errorf("the place on deck is not left: %+v, %v", r, err)
		}
		if _, ran, err := s.Once(t.Context(), "wiki", ondemand.Once{NoLease: true}); ran || !errors.Is(err, ondemand.ErrClosed) {
			t.Errorf("Once after Close = %v, %v", ran, err)
		}
	})
}

// What a run leaves is done by another one when that may be waited for.
func TestOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 2
		s := newSite(t, queuememory.New(), func(context.Context, string) (int, error) {
			if left--; left >= 0 {
				return 1, ondemand.ErrMore
			}
			return 1, nil
		})
		if _, ran, err := traced(t, t.Context(), s, ondemand.Once{}); !ran || err != nil {
			t.Errorf("Once = %v, %v", ran, err)
		}
		s.began(t, 0, time.Minute, 2*time.Minute)
		left = 2
		if _, ran, err := traced(t, t.Context(), s, ondemand.Once{NoLease: true}); !ran || err != nil || left != 1 {
			t.Errorf("without waiting: %v, %v, %d left", ran, err, left)
		}
	})
}

// sleeper runs until its context ends.
type sleeper struct{ ended func() }

func (*sleeper) Type() string { return "sleeper" }
func (j *sleeper) Run(ctx context.Context) error {
	<-ctx.Done()
	j.ended()
	return ctx.Err()
}

// Jobs of a run whose lease was taken away are interrupted at once, however long others may take to finish, also when
// the process has been asked to end before.
func TestFencedJobs(t *testing.T) {
	for _, asked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := queuememory.New()
			g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b})
			begun := time.Now()
			var ends []time.Duration
			reg := &jobqueue.Registry{}
			reg.Add(func() jobqueue.Job { return &sleeper{func() { ends = append(ends, time.Since(begun)) }} }, jobqueue.Policy{})
			s := newSite(t, b, nothing, func(o *ondemand.Options) {
				o.Work = []ondemand.Work{ondemand.Jobs(g, reg, runner.Options{Grace: 10 * time.Minute})}
			})
			if _, err := g.Push(t.Context(), jobqueue.Spec{Job: &sleeper{}}); err != nil {
				t.Fatal(err)
			}
			ctx, end := context.WithCancel(t.Context())
			defer end()
			ended := make(chan ondemand.Run, 1)
			go func() {
				run, _, _ := s.Once(ctx, "wiki", ondemand.Once{})
				ended <- run
			}()
			pause(time.Second)
			if asked {
				end()
				pause(time.Second)
			}
			if len(ends) > 0 {
				t.Errorf("asked to end: %v; the job ended after %v, without its grace", asked, ends)
			}
			if err := s.leases.Reset(t.Context(), "wiki"); err != nil {
				t.Fatal(err)
			}
			if run := <-ended; !errors.Is(run.Err, lease.ErrStale) {
				t.Errorf("the run ended with %v, want an ErrStale", run.Err)
			}
			if len(ends) != 1 || ends[0] > 10*time.Second {
				t.Errorf("asked to end: %v; the job ended after %v, want within a part of the TTL, 30 s", asked, slices.Clone(ends))
			}
		})
	}
}
