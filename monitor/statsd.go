package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

const (
	statsdPort = "8125"
	statsdSize = 512 // bytes of a datagram
	maxTypes   = 1000
)

// A statsd sums up counters and sends them once in a while.
type statsd struct {
	*sender
	host     string
	counters sync.Map // by name: *atomic.Int64
	types    sync.Map // by type: *typeCounters
	known    atomic.Int64
	memory   int64 // in bytes, when it was told last
	stop     chan struct{}
	stopped  chan struct{}
	begun    sync.Once // with the first runner; a reload of the configuration makes others
	closed   sync.Once
}

// Statsd returns a sink for the statsd at addr, a host with a port unless that is 8125. Its name is resolved later. The counters are
// those of Wikimedia's job runner, each as jobrunner.NAME:N|c:
//
//   - start-runner.HOST once, pop.TYPE.ok.HOST and pop.TYPE.failed.HOST for each run;
//   - runner-status.timeout for runs that were out of time, runner-status.error for handlers at fault;
//   - job-recycle.TYPE for claims that ran out, when their job ends, and job-abandon.TYPE for jobs given up;
//   - job-undelay.all and job-prune.all for what maintenance does, periodictasks.claimed.HOST for each time that it is this
//     process's turn, then periodictasks.done.HOST or periodictasks.failed.HOST, and periodictasks.partition-failed.PARTITION;
//   - memory.HOST, by how many bytes the memory of Go's runtime has grown, less than 0 if it has shrunk;
//   - store-error.HOST, where that has redis-error.
//
// Of types too many to be told apart the rest are called other. In the names all but
// letters, digits, - and _ becomes _.
func Statsd(addr string, o Options) (Sink, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = addr, statsdPort
		if strings.ContainsAny(addr, ":[]/ ") && net.ParseIP(addr) == nil {
			return nil, badStatsd(addr)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return nil, badStatsd(addr)
	}
	o.fill()
	s := &statsd{sender: newSender(datagrams(net.JoinHostPort(host, port)), o.failed("statsd "+addr)), host: "." + part(o.Host), stop: make(chan struct{}), stopped: make(chan struct{})}
	go s.run(o.Every)
	return s, nil
}

func badStatsd(addr string) error {
	return fmt.Errorf("statsd %q must be a host, or a host and a port such as statsd.example.org:8125", addr)
}

// A typeCounters has the counters of a type, looked up once.
type typeCounters struct{ ok, failed, recycled, abandoned *atomic.Int64 }

func (s *statsd) of(typ string) *typeCounters {
	if t, ok := s.types.Load(typ); ok {
		return t.(*typeCounters)
	}
	if typ != "other" && s.known.Load() >= maxTypes {
		return s.of("other")
	}
	p := part(typ)
	t, had := s.types.LoadOrStore(typ, &typeCounters{
		ok: s.counter("pop." + p + ".ok" + s.host), failed: s.counter("pop." + p + ".failed" + s.host),
		recycled: s.counter("job-recycle." + p), abandoned: s.counter("job-abandon." + p),
	})
	if !had {
		s.known.Add(1)
	}
	return t.(*typeCounters)
}

func (s *statsd) counter(name string) *atomic.Int64 {
	c, _ := s.counters.LoadOrStore(name, new(atomic.Int64))
	return c.(*atomic.Int64)
}

// add adds to one of the few counters that are of no type.
func (s *statsd) add(name string, n int) { s.counter(name).Add(int64(n)) }

// grow counts how much memory more the process has.
func (s *statsd) grow() {
	m := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(m)
	now := int64(m[0].Value.Uint64() - m[1].Value.Uint64())
	s.add("memory"+s.host, int(now-s.memory))
	s.memory = now
}

func (s *statsd) run(every time.Duration) {
	defer close(s.stopped)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush()
		case <-s.stop:
			s.flush()
			return
		}
	}
}

// flush has all counters sent that are not zero, several in a datagram.
func (s *statsd) flush() {
	s.grow()
	var datagram []byte
	s.counters.Range(func(name, c any) bool {
		n := c.(*atomic.Int64).Swap(0)
		if n == 0 {
			return true
		}
		line := fmt.Sprintf("jobrunner.%s:%d|c", name, n)
		if len(datagram) > 0 && len(datagram)+1+len(line) > statsdSize {
			s.offer(datagram)
			datagram = nil
		}
		if len(datagram) > 0 {
			datagram = append(datagram, '\n')
		}
		datagram = append(datagram, line...)
		return true
	})
	if len(datagram) > 0 {
		s.offer(datagram)
	}
}

// Close is of [Sink].
func (s *statsd) Close() {
	s.closed.Do(func() {
		close(s.stop)
		<-s.stopped
		s.sender.close()
	})
}

// Trace is of [Sink].
func (s *statsd) Trace() *jobqueue.Trace {
	trouble := func(err error) {
		if err != nil {
			s.add("store-error"+s.host, 1)
		}
	}
	return &jobqueue.Trace{
		Pushed: func(_ context.Context, _ []jobqueue.Record, _ jobqueue.Pushed, err error) { trouble(err) },
		Popped: func(_ context.Context, _ []*jobqueue.Claim, err error) { trouble(err) },
		Settled: func(_ context.Context, outcomes []jobqueue.Outcome, lost []*jobqueue.Claim, err error) {
			trouble(err)
			for o := range recorded(outcomes, lost, err) {
				last := o.Do == jobqueue.ActionDone || o.Do == jobqueue.ActionAbandon
				if last && o.Claim.Expiries > 0 {
					s.of(o.Claim.Type).recycled.Add(int64(o.Claim.Expiries))
				}
				if o.Do == jobqueue.ActionAbandon {
					s.of(o.Claim.Type).abandoned.Add(1)
				}
			}
		},
		Maintained: func(_ context.Context, m jobqueue.Maintained, err error) {
			trouble(err)
			s.add("periodictasks.claimed"+s.host, 1)
			if away, ok := errors.AsType[*jobqueue.PartError](err); ok {
				for _, p := range away.Parts {
					s.add("periodictasks.partition-failed."+part(p), 1)
				}
			}
			if err == nil {
				s.add("periodictasks.done"+s.host, 1)
			} else {
				s.add("periodictasks.failed"+s.host, 1)
			}
			s.add("job-undelay.all", m.Released)
			s.add("job-prune.all", m.Pruned)
		},
	}
}

// Runner is of [Sink].
func (s *statsd) Runner(o *runner.Options) {
	s.begun.Do(func() { s.add("start-runner"+s.host, 1) })
	o.OnEnd = joined(func(e runner.Ended) {
		t := s.of(e.Claim.Type)
		switch {
		case e.Err == nil:
			t.ok.Add(1)
		case failed(&e):
			t.failed.Add(1)
			if errors.Is(e.Err, runner.ErrTimeout) {
				s.add("runner-status.timeout", 1)
			}
		case errors.Is(e.Err, jobqueue.ErrFault):
			s.add("runner-status.error", 1)
		}
	}, o.OnEnd)
}
