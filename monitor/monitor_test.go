package monitor_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/monitor"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A job does what it is told.
type job struct{ Does string }

func (*job) Type() string { return "sms" }

func (j *job) Run(ctx context.Context) error {
	switch j.Does {
	case "fail":
		return errors.New("no luck")
	case "abandon":
		return jobqueue.Abandon(errors.New("no hope"))
	case "fault":
		return jobqueue.Fault(errors.New("no program"))
	case "late":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// drive runs a job of each fate, one after the other, with what a sink hears.
func drive(t *testing.T, s monitor.Sink, jobs ...string) {
	t.Helper()
	reg := &jobqueue.Registry{}
	policy := jobqueue.Policy{MaxTries: 2, Backoff: func(int) time.Duration { return time.Hour }, Timeout: 50 * time.Millisecond}
	reg.Add(func() jobqueue.Job { return &job{} }, policy)
	g := jobqueue.NewGroup("identi.ca", jobqueue.Routes{Default: queuememory.New(), Trace: s.Trace(), Policy: func(string) jobqueue.Policy { return policy }})
	ends := 0
	o := &runner.Options{Workers: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), OnEnd: func(runner.Ended) { ends++ }}
	s.Runner(o)
	s.Runner(&runner.Options{}) // as when the configuration is read again
	for _, does := range jobs {
		if _, err := g.Push(t.Context(), jobqueue.Spec{Job: &job{does}}); err != nil {
			t.Fatal(err)
		}
		runner.Run(t.Context(), g, reg, o)
	}
	if ends != len(jobs) {
		t.Errorf("the program's own hook heard of %d runs of %d", ends, len(jobs))
	}
	if _, err := g.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A listener keeps the datagrams it gets.
type listener struct {
	conn net.PacketConn
	mu   sync.Mutex
	got  []string
}

func listen(t *testing.T) *listener {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := &listener{conn: conn}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.got = append(l.got, string(buf[:n]))
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) addr() string { return l.conn.LocalAddr().String() }

// until waits until what came is enough.
func (l *listener) until(t *testing.T, enough func([]string) bool) []string {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		l.mu.Lock()
		got := append([]string(nil), l.got...)
		l.mu.Unlock()
		if enough(got) {
			return got
		}
	}
	t.Fatalf("got only %q", l.got)
	return nil
}

// canonical are the messages with the number of seconds made the same.
func canonical(messages []string) []string {
	out := make([]string, len(messages))
	for i, m := range messages {
		out[i] = regexp.MustCompile(`ts=\d{10}\.\d{4}$`).ReplaceAllString(m, "ts=T")
	}
	return out
}

// StatusNet's monitor gets both shapes as its daemon sends them.
func TestStatusNetOverUDP(t *testing.T) {
	l := listen(t)
	s, err := monitor.StatusNet("udp://"+l.addr(), monitor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	drive(t, s, "", "fail")
	s.Close()
	owners := func(n int) string {
		all := "&owners%5B0%5D=queue%3Asms&owners%5B1%5D=site%3Aidenti.ca"
		if n == 3 {
			all += "&owners%5B2%5D=thread%3Ageneric.1"
		}
		return all
	}
	state := func(s, sub string) string { return "thread_id=generic.1&state=" + s + "&substate=" + sub + "&ts=T" }
	want := []string{
		state("init", ""),
		"counter=enqueued" + owners(2), state("queue", "sms"), "counter=handled" + owners(3), state("listening", ""),
		"counter=enqueued" + owners(2), state("queue", "sms"), "counter=error" + owners(3), state("listening", ""), "counter=requeued" + owners(2),
		state("shutdown", ""),
	}
	got := l.until(t, func(d []string) bool { return len(d) >= len(want) })
	if d := cmp.Diff(want, canonical(got)); d != "" {
		t.Error(d)
	}
}

// Over HTTP the same is posted as forms.
func TestStatusNetOverHTTP(t *testing.T) {
	got := make(chan url.Values, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/ping" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		r.ParseForm()
		got <- r.PostForm
	}))
	defer server.Close()
	s, err := monitor.StatusNet(server.URL+"/ping", monitor.Options{Thread: "xmpp"})
	if err != nil {
		t.Fatal(err)
	}
	drive(t, s, "abandon", "fault")
	s.Close()
	counters := map[string]int{}
	for len(got) > 0 {
		f := <-got
		if c := f.Get("counter"); c != "" {
			counters[c]++
			if f.Get("owners[0]") != "queue:sms" || f.Get("owners[1]") != "site:identi.ca" {
				t.Errorf("%v", f)
			}
		} else if f.Get("thread_id") != "xmpp.1" || f.Get("state") == "" || f.Get("ts") == "" {
			t.Errorf("%v", f)
		}
	}
	want := map[string]int{"enqueued": 2, "error": 1, "deadletter": 1, "badhandler": 1, "requeued": 1}
	if d := cmp.Diff(want, counters); d != "" {
		t.Error(d)
	}
}

// A target that is none is refused, with what would be right.
func TestMistakesInTargets(t *testing.T) {
	for target, want := range map[string]string{
		"tcp://host:1":       "must begin with udp:, http: or https:",
		"host:9999":          "must begin with udp:",
		"":                   "must begin with udp:",
		"udp://host":         "must be udp://HOST:PORT",
		"udp://host:0":       "must be udp://HOST:PORT",
		"udp://host:99/path": "must be udp://HOST:PORT",
		"http://":            "has no host",
		"http://[::1":        "must be a URL such as",
	} {
		if _, err := monitor.StatusNet(target, monitor.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", target, err, want)
		}
	}
	for _, addr := range []string{"", ":8125", "host:", "host:port", "host:70000", "a:b:c"} {
		if _, err := monitor.Statsd(addr, monitor.Options{}); err == nil || !strings.Contains(err.Error(), "must be a host") {
			t.Errorf("%q: %v", addr, err)
		}
	}
	for _, addr := range []string{"host", "host:8125", "[::1]:8125", "127.0.0.1"} {
		s, err := monitor.Statsd(addr, monitor.Options{})
		if err != nil {
			t.Errorf("%q: %v", addr, err)
			continue
		}
		s.Close()
	}
}

// silent returns the address of a TCP listener that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.LocalAddr().String()
}

// While one message is under way, without end, jobs go on, and what there is no room for is dropped.
func TestJobsNeverWaitForAListener(t *testing.T) {
	release := make(chan struct{})
	var sent atomic.Int64
	s := monitor.SinkOf(func(context.Context, []byte) error {
		<-release
		sent.Add(1)
		return nil
	})
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &job{} }, jobqueue.Policy{})
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Trace: s.Trace()})
	o := &runner.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	s.Runner(o)
	const jobs = 5000
	ended := make(chan *runner.Result, 1)
	go func() {
		if _, err := g.Push(t.Context(), slices.Repeat([]jobqueue.Spec{{Job: &job{}}}, jobs)...); err != nil {
			t.Error(err)
		}
		res, _ := runner.Run(t.Context(), g, reg, o)
		ended <- res
	}()
	select {
	case res := <-ended:
		if res.Counts.Done != jobs {
			t.Errorf("%v", res)
		}
	case <-time.After(time.Minute):
		t.Error("jobs wait for the listener")
	}
	// One event for its push, three for its run, and one for each worker that there is.
	if n, least := s.Dropped(), int64(4*jobs-monitor.MaxQueued-1); n < least || n > least+100 {
		t.Errorf("%d dropped, want %d and a few", n, least)
	}
	close(release)
	s.Close()
	if n := sent.Load(); n < monitor.MaxQueued {
		t.Errorf("%d sent of the %d that there was room for", n, monitor.MaxQueued)
	}
}

// Jobs run however the listener is away, and what could not be sent is counted.
func TestADeadListenerSlowsNothing(t *testing.T) {
	unread, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	for name, target := range map[string]string{
		"a socket that is never read":    "udp://" + unread.LocalAddr().String(),
		"a closed port":                  "udp://" + closedPort(t),
		"a name that is none":            "udp://no-such-host.invalid:9999",
		"a web server that says nothing": "http://" + silent(t) + "/",
		"no web server":                  "http://" + closedPort(t) + "/",
		"statsd at a closed port":        closedPort(t),
		"statsd at a name that is none":  "no-such-host.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s monitor.Sink
			var err error
			stats := strings.HasPrefix(name, "statsd")
			if stats {
				s, err = monitor.Statsd(target, monitor.Options{Every: time.Millisecond})
			} else {
				s, err = monitor.StatusNet(target, monitor.Options{})
			}
			if err != nil {
				t.Fatal(err)
			}
			reg := &jobqueue.Registry{}
			reg.Add(func() jobqueue.Job { return &job{} }, jobqueue.Policy{})
			g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Trace: s.Trace()})
			o := &runner.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
			s.Runner(o)
			const jobs = 5000
			specs := make([]jobqueue.Spec, jobs)
			for i := range specs {
				specs[i].Job = &job{}
			}
			if _, err := g.Push(t.Context(), specs...); err != nil {
				t.Fatal(err)
			}
			res, err := runner.Run(t.Context(), g, reg, o)
			if err != nil || res.Counts.Done != jobs {
				t.Fatalf("%v, %v", res, err)
			}
			s.Close()
			if n := s.Dropped(); n == 0 && name != "a socket that is never read" {
				t.Error("nothing was dropped, or counted as such")
			}
		})
	}
}
