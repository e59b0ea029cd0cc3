package daemon_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/runner"
)

// A limit lets what runs finish, in older generations too.
func TestLimitWithOlder(t *testing.T) {
	for want, o := range map[runner.Reason]runner.Options{
		runner.TimeLimit:   {MaxTime: time.Minute},
		runner.MemoryLimit: {MemoryLimit: 1},
	} {
		t.Run(string(want), func(t *testing.T) {
			o.Grace = time.Second
			bubble(t, o, func(f *farm) {
				f.push("long", 10*time.Minute)
				ended := f.start(f.t.Context(), func(o *daemon.Options) {
					next, first := o.Next, true
					o.Next = func(ctx context.Context) (*daemon.Generation, error) {
						g, err := next(ctx)
						if first {
							g.Options.MemoryLimit, first = 0, false
						}
						return g, err
					}
				})
				time.Sleep(time.Second)
				f.write("two")
				res := <-ended
				if res.Reached != want || res.Counts.Done != 1 || res.Counts.GivenBack > 0 {
					t.Errorf("%v, want %s, and the long job done", res.Result, want)
				}
			})
		})
	}
}

// While a configuration is being read, jobs run as the last one says.
func TestReadingTakesLong(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		ctx, stop := context.WithCancel(f.t.Context())
		ended := f.start(ctx, func(o *daemon.Options) {
			next, begun := o.Next, false
			o.Next = func(ctx context.Context) (*daemon.Generation, error) {
				if begun {
					time.Sleep(time.Hour)
				}
				begun = true
				return next(ctx)
			}
		})
		time.Sleep(time.Second)
		f.write("two")
		time.Sleep(time.Minute)
		f.push("a", 0)
		time.Sleep(time.Minute)
		if got := f.word("a"); got != "one" {
			f.t.Errorf("the job ran with %q while the next configuration was read, want one", got)
		}
		time.Sleep(2 * time.Hour)
		stop()
		<-ended
	})
}

// Older generations end while the newest asks what they run: under the race detector neither disturbs the other, and
// together they have as many jobs as there are workers.
func TestOlderEndWhileNewestClaims(t *testing.T) {
	bubble(t, runner.Options{Workers: 6}, func(f *farm) {
		const changes = 5
		ctx, stop := context.WithCancel(f.t.Context())
		ended := f.start(ctx)
		for i := range changes {
			time.Sleep(2 * time.Second)
			// Those in the middle of the list end first.
			f.push(fmt.Sprint("long", i), time.Minute+time.Duration((i*3)%changes)*time.Second)
			time.Sleep(time.Second)
			f.write(fmt.Sprint("word", i))
		}
		for i := range 1000 {
			f.push(strconv.Itoa(i), 100*time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		stop()
		if res := <-ended; res.Counts.Done != 1000+changes || f.peak() > 6 {
			f.t.Errorf("%v, %d jobs at once, want all done, and 6 at once", res.Result, f.peak())
		}
	})
}
