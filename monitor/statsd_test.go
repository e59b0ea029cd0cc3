package monitor_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/monitor"
	"github.com/wikifarm/jobqueue/runner"
)

// sums adds up what statsd gets.
func sums(t *testing.T, datagrams []string) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, d := range datagrams {
		if len(d) > 512 {
			t.Errorf("a datagram of %d bytes", len(d))
		}
		for _, line := range strings.Split(d, "\n") {
			m := regexp.MustCompile(`^([A-Za-z0-9_.-]+):(-?\d+)\|c$`).FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("line %q", line)
			}
			n, _ := strconv.Atoi(m[2])
			got[m[1]] += n
		}
	}
	return got
}

// statsd gets the counters of Wikimedia's runner.
func TestStatsdHasTheNamesOfWikimediasRunner(t *testing.T) {
	l := listen(t)
	s, err := monitor.Statsd(l.addr(), monitor.Options{Host: "mw1.example.org", Every: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	drive(t, s, "", "", "fail", "abandon", "late", "fault")
	s.Trace().Maintained(t.Context(), jobqueue.Maintained{Released: 4, Pruned: 5}, &jobqueue.PartError{Parts: []string{"q.1", "q2"}})
	s.Close()
	want := map[string]int{
		"jobrunner.start-runner.mw1_example_org": 1, "jobrunner.pop.sms.ok.mw1_example_org": 2, "jobrunner.pop.sms.failed.mw1_example_org": 3,
		"jobrunner.job-abandon.sms": 1, "jobrunner.runner-status.timeout": 1, "jobrunner.runner-status.error": 1,
		"jobrunner.periodictasks.claimed.mw1_example_org": 2, "jobrunner.periodictasks.done.mw1_example_org": 1,
		"jobrunner.periodictasks.failed.mw1_example_org": 1, "jobrunner.periodictasks.partition-failed.q_1": 1,
		"jobrunner.periodictasks.partition-failed.q2": 1, "jobrunner.job-undelay.all": 4, "jobrunner.job-prune.all": 5,
		"jobrunner.store-error.mw1_example_org": 1,
	}
	const memory = "jobrunner.memory.mw1_example_org"
	sent := func(d []string) map[string]int {
		all := sums(t, d)
		delete(all, memory)
		return all
	}
	total := func(m map[string]int) (n int) {
		for _, v := range m {
			n += v
		}
		return n
	}
	got := l.until(t, func(d []string) bool { return total(sent(d)) >= total(want) && sums(t, d)[memory] != 0 })
	if n := sums(t, got)[memory]; n < 1<<20 || n > 1<<30 {
		t.Errorf("%d bytes of memory", n)
	}
	if d := cmp.Diff(want, sent(got)); d != "" {
		t.Error(d)
	}
	if n := s.Dropped(); n > 0 {
		t.Errorf("%d dropped", n)
	}
}

// Made-up types and odd names neither break the format nor are told apart without end.
func TestStatsdBoundsAndCleansNames(t *testing.T) {
	l := listen(t)
	s, err := monitor.Statsd(l.addr(), monitor.Options{Host: "h", Every: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var o runner.Options
	s.Runner(&o)
	end := func(typ string) {
		o.OnEnd(runner.Ended{Claim: &jobqueue.Claim{Record: jobqueue.Record{Name: jobqueue.Name{Type: typ}}}, Action: jobqueue.ActionDone})
	}
	end("a.b:1|c\nx")
	for i := range 3000 {
		end(fmt.Sprint("junk", i))
	}
	s.Close()
	got := sums(t, l.until(t, func(d []string) bool { return len(sums(t, d)) > 1002 }))
	if got["jobrunner.pop.a_b_1_c_x.ok.h"] != 1 || got["jobrunner.pop.other.ok.h"] != 2001 || len(got) != 1003 {
		t.Errorf("%d names, %d others", len(got), got["jobrunner.pop.other.ok.h"])
	}
}
