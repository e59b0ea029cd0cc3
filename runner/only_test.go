package runner_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A type that is enabled on one domain runs there; its jobs on others wait, and who asks is told.
func TestTypeOnSomeDomainsOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, domains := range [][]string{nil, {"t1", "t2"}} {
			f := newFarm(t, sharing)
			var ran []string
			note := func(ctx context.Context, n int) error {
				ran = append(ran, fmt.Sprint(jobqueue.FromContext(ctx).Name, n))
				return nil
			}
			f.add("mail", jobqueue.Policy{}, note)
			f.add("other", jobqueue.Policy{}, note)
			for _, d := range []string{"t1", "t2"} {
				f.pushOn(d, "mail", 2)
				f.pushOn(d, "other", 1)
			}
			o := runner.Options{Workers: 1, Only: map[string][]string{"mail": {"t1"}}}
			if domains != nil {
				o.Domains = func() []string { return domains }
			}
			res := f.run(t.Context(), o)
			f.reached(res, runner.NoneReady)
			slices.Sort(ran)
			if want := []string{"t1/mail 0", "t1/mail 1", "t1/other 0", "t2/other 0"}; !slices.Equal(ran, want) {
				t.Errorf("ran %q, want %q", ran, want)
			}
			o.Wait = true
			ctx, stop := context.WithCancel(t.Context())
			done := f.goRun(ctx, o)
			time.Sleep(time.Second)
			p := f.alive(1)[0]
			for name, want := range map[string]bool{"t1/mail": true, "t2/mail": false, "t1/other": true, "t2/other": true} {
				d, typ, _ := strings.Cut(name, "/")
				if p.Covers(jobqueue.Name{Domain: d, Type: typ}) != want {
					t.Errorf("whether the runner covers %s is said wrong", name)
				}
			}
			stop()
			f.counted(<-done, runner.Counts{})
			// Nothing is lost: whoever runs it there gets them.
			f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 2})
		}
	})
}

// Many queues that wait for their type to be enabled slow nothing: what can run begins at once.
func TestOnlyInVain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(r *jobqueue.Routes) { r.Default = slowLook{r.Default.(*faults).Backend.(*queuememory.Backend)} })
		waits := make(chan time.Duration, 1)
		f.add("mail", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			waits <- time.Since(jobqueue.FromContext(ctx).QueuedAt)
			return nil
		})
		for i := range 1000 {
			f.pushOn(fmt.Sprint("wiki", i), "mail", 1)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 2, Wait: true, Only: map[string][]string{"mail": {"t1"}}})
		for range 10 {
			time.Sleep(time.Minute + 777*time.Millisecond)
			f.pushOn("t1", "mail", 1)
			if wait := <-waits; wait > 150*time.Millisecond {
				t.Errorf("a job waited for %v", wait)
			}
		}
		stop()
		f.counted(<-done, runner.Counts{Done: 10})
	})
}

// What a presence says stays small, and what it leaves out is supposed to run everywhere.
func TestLongOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		o := runner.Options{Wait: true, Only: map[string][]string{}}
		for i := range 500 {
			typ := fmt.Sprint("type", i)
			f.add(typ, jobqueue.Policy{}, nil)
			for k := range 1 + i {
				o.Only[typ] = append(o.Only[typ], fmt.Sprintf("a-rather-long-name-of-a-domain-%d", k))
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, o)
		time.Sleep(time.Second)
		p := f.alive(1)[0]
		if len(p.Only) == 0 || len(p.Only) > 100 || !p.Covers(jobqueue.Name{Domain: "elsewhere", Type: "type499"}) {
			t.Errorf("%d types are said to run on some domains only", len(p.Only))
		}
		stop()
		<-done
	})
}
