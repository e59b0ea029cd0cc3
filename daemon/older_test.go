package daemon_test

import (
	"context"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/runner"
)

// A limit lets what runs finish, in older generations too.
func TestLimitWithOlder(t *testing.T) {
	bubble(t, runner.Options{MaxTime: time.Minute, Grace: time.Second}, func(f *farm) {
		f.push("long", 10*time.Minute)
		ended := f.start(f.t.Context())
		time.Sleep(time.Second)
		f.write("two")
		res := <-ended
		if res.Reached != runner.TimeLimit || res.Counts.Done != 1 || res.Counts.GivenBack > 0 {
			f.t.Errorf("%v, want the long job done", res.Result)
		}
	})
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
