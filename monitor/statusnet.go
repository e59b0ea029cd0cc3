package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A statusNet sends a message for each thing that happens.
type statusNet struct {
	*sender
	thread string
	begun  sync.Once // with the first runner; a reload of the configuration makes others

	mu    sync.Mutex
	slots map[*jobqueue.Claim]int // which worker runs it, from 1 on
	taken []bool
}

// StatusNet returns a sink for the listener at target, a URL udp://HOST:PORT, http://… or https://…: a
// datagram, or a form that is posted, for each event. Events have one of two shapes, url-encoded with brackets and all:
//
//	thread_id=generic.1&state=queue&substate=sms&ts=1263945600.1234
//	counter=handled&owners[0]=queue:sms&owners[1]=site:identi.ca&owners[2]=thread:generic.1
//
// The states are init when a runner is made, queue with the type while a job runs, listening in between, and
// shutdown. The counters are enqueued, handled, requeued, error for runs that failed, badhandler for
// handlers at fault, and deadletter for jobs given up.
func StatusNet(target string, o Options) (Sink, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, errors.New("the monitor must be a URL such as udp://127.0.0.1:9999 or http://monitor.example.org/")
	}
	var send func(context.Context, []byte) error
	switch strings.ToLower(u.Scheme) {
	case "udp":
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || n == 0 || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
			return nil, fmt.Errorf("the monitor must be udp://HOST:PORT, not %s", u.Redacted())
		}
		send = datagrams(net.JoinHostPort(u.Hostname(), u.Port()))
	case "http", "https":
		if u.Hostname() == "" {
			return nil, fmt.Errorf("the monitor %s has no host", u.Redacted())
		}
		send = posts(target)
	default:
		return nil, fmt.Errorf("a monitor's URL must begin with udp:, http: or https:, not %q", u.Scheme+":")
	}
	o.fill()
	return &statusNet{sender: newSender(send, o.failed("monitor "+u.Host)), thread: o.Thread, slots: map[*jobqueue.Claim]int{}}, nil
}

// state tells what a worker does.
func (s *statusNet) state(worker int, state, substate string) {
	now := time.Now()
	s.offer([]byte("thread_id=" + escape(s.name(worker)) + "&state=" + state + "&substate=" + escape(substate) +
		fmt.Sprintf("&ts=%d.%04d", now.Unix(), now.Nanosecond()/1e5)))
}

func (s *statusNet) name(worker int) string { return s.thread + "." + strconv.Itoa(worker) }

// counter tells that something happened once; worker is 0 if it was none.
func (s *statusNet) counter(name string, of jobqueue.Name, worker int) {
	owners := []string{"queue:" + of.Type, "site:" + of.Domain}
	if worker > 0 {
		owners = append(owners, "thread:"+s.name(worker))
	}
	var b strings.Builder
	b.WriteString("counter=" + name)
	for i, o := range owners {
		b.WriteString("&owners%5B" + strconv.Itoa(i) + "%5D=" + escape(o))
	}
	s.offer([]byte(b.String()))
}

// escape is what PHP does to a part of a query.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "~", "%7E") }

// Close is of [Sink].
func (s *statusNet) Close() {
	s.mu.Lock()
	n := len(s.taken)
	s.mu.Unlock()
	for i := range n {
		s.state(i+1, "shutdown", "")
	}
	s.close()
}

// Trace is of [Sink].
func (s *statusNet) Trace() *jobqueue.Trace {
	return &jobqueue.Trace{
		Pushed: func(_ context.Context, records []jobqueue.Record, pushed jobqueue.Pushed, err error) {
			for i := range records {
				if err == nil && pushed[i].Err == nil && !pushed[i].Duplicate {
					s.counter("enqueued", records[i].Name, 0)
				}
			}
		},
		Settled: func(_ context.Context, outcomes []jobqueue.Outcome, lost []*jobqueue.Claim, err error) {
			for o := range recorded(outcomes, lost, err) {
				switch o.Do {
				case jobqueue.ActionAbandon:
					s.counter("deadletter", o.Claim.Name, 0)
				case jobqueue.ActionRetry, jobqueue.ActionGiveBack:
					s.counter("requeued", o.Claim.Name, 0)
				}
			}
		},
	}
}

// Runner is of [Sink].
func (s *statusNet) Runner(o *runner.Options) {
	s.begun.Do(func() { s.state(s.grow(), "init", "") })
	o.OnStart = joined(func(c *jobqueue.Claim) { s.state(s.begin(c), "queue", c.Type) }, o.OnStart)
	o.OnEnd = joined(func(e runner.Ended) {
		worker := s.end(e.Claim)
		switch {
		case e.Err == nil:
			s.counter("handled", e.Claim.Name, worker)
		case failed(&e):
			s.counter("error", e.Claim.Name, worker)
		case errors.Is(e.Err, jobqueue.ErrFault):
			s.counter("badhandler", e.Claim.Name, worker)
		}
		s.state(worker, "listening", "")
	}, o.OnEnd)
}

// grow has there be at least one worker, and returns its number.
func (s *statusNet) grow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taken) == 0 {
		s.taken = append(s.taken, false)
	}
	return 1
}

// begin gives a job the first number that is free, since a runner does not number its workers.
func (s *statusNet) begin(c *jobqueue.Claim) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	for i < len(s.taken) && s.taken[i] {
		i++
	}
	if i == len(s.taken) {
		s.taken = append(s.taken, false)
	}
	s.taken[i], s.slots[c] = true, i+1
	return i + 1
}

func (s *statusNet) end(c *jobqueue.Claim) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.slots[c]
	if n == 0 {
		return 1 // It began before these hooks were there.
	}
	delete(s.slots, c)
	s.taken[n-1] = false
	return n
}
