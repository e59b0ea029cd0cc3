// Package monitor tells listeners on the network what groups and runners do: statsd, with the names that
// Wikimedia's job runner gives its counters, and the monitors of StatusNet's queue daemon.
//
//	s, err := monitor.Statsd("statsd.example.org", monitor.Options{})
//	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: backend, Trace: s.Trace()})
//	s.Runner(&o)
//	defer s.Close()
//
// It is fire and forget: nothing waits for a listener. What there is no room for, or cannot be sent, is
// dropped and counted.
package monitor

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// Options say who tells. The zero Options are fine.
type Options struct {
	// Host is what this host is called. Default what the system calls it.
	Host string

	// Thread names the process: the workers of StatusNet's format are called Thread.1, Thread.2 and so on. Default "generic".
	Thread string

	// Failed is told why a message could not be sent, at most every ten minutes. Nil: nobody is.
	Failed func(error)

	// Every is how long statsd's counters are summed up before they are sent. Default 1 s.
	Every time.Duration
}

func (o *Options) fill() {
	if o.Host == "" {
		o.Host, _ = os.Hostname()
	}
	if o.Thread == "" {
		o.Thread = "generic"
	}
	if o.Every <= 0 {
		o.Every = time.Second
	}
}

// failed returns Failed for what is sent to a listener, which it names.
func (o *Options) failed(listener string) func(error) {
	if o.Failed == nil {
		return nil
	}
	return func(err error) { o.Failed(fmt.Errorf("%s: %w", listener, err)) }
}

// A Sink tells a listener. It is safe for concurrent use.
type Sink interface {
	// Trace returns hooks for [jobqueue.Routes]; [jobqueue.JoinTraces] joins them with others.
	Trace() *jobqueue.Trace

	// Runner adds hooks to the options of a run, before those they have.
	Runner(o *runner.Options)

	// Dropped returns how many messages there was no room for, or could not be sent.
	Dropped() int64

	// Close sends what there is, within a second, and ends.
	Close()
}

// joined returns hooks of which the first comes before the second, if there is one.
func joined[T any](first, second func(T)) func(T) {
	if second == nil {
		return first
	}
	return func(t T) {
		first(t)
		second(t)
	}
}

// failed reports whether a run failed, instead of being put off or losing its claim.
func failed(e *runner.Ended) bool {
	return e.Err != nil && (e.Action == jobqueue.ActionRetry || e.Action == jobqueue.ActionAbandon)
}

// part makes a name one part of a dotted one.
func part(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), maxPart)]
}

const maxPart = 100
