package ondemand_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// While no process can be started, what is due runs here: nothing waits longer than its interval. Processes are tried less and less often.
func TestLaunchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var tried []time.Duration
		s := newSite(t, queuememory.New(), nothing, func(o *ondemand.Options) {
			o.Leases.Rules = lease.Rules{Interval: time.Second / 2}
			o.Exec = &ondemand.Exec{Path: "/nowhere/program", Env: []string{"KEY=" + secret}, Args: func(domain string) []string {
				tried = append(tried, time.Since(begun))
				return []string{domain}
			}}
		})
		var want []time.Duration
		for at := time.Duration(0); at < 5*time.Minute; at += time.Second / 2 {
			s.Poke("wiki")
			want = append(want, at)
			pause(time.Second / 4)
			if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || r.Next.ID != "" {
				t.Fatalf("%+v, %v", r, err)
			}
			pause(time.Second / 4)
		}
		s.began(t, want...)
		for i := range tried {
			tried[i] = tried[i].Round(time.Second)
		}
		if want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183, 243}; !slices.EqualFunc(tried, want, func(d, s time.Duration) bool { return d == s*time.Second }) {
			t.Errorf("tried at %v, want %v s", tried, want)
		}
		if log := s.log.String(); strings.Count(log, "could not be started") != len(tried) || !strings.Contains(log, "/nowhere/program") || strings.Contains(log, secret) {
			t.Errorf("the log says:\n%s", log)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing, func(o *ondemand.Options) { o.Exec = &ondemand.Exec{Path: "/nowhere/program"} })
		s.Poke("wiki")
		synctest.Wait()
		s.Poke("wiki") // when it is not due: it is not forgotten
		pause(5 * time.Minute)
		s.began(t, 0, time.Minute)
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d domains wait", n)
		}
	})
}
