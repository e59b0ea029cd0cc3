//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A link is what a process reaches a server through.
type link struct {
	*toxiproxy.Proxy
	mu sync.Mutex // one thing is done to it at a time
}

var proxies = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())

// newLink starts a link. Where it is rude, what is closed is reset.
func newLink(name, listen, upstream string, rude bool) (*link, error) {
	l := &link{Proxy: toxiproxy.NewProxy(proxies, name, listen, upstream)}
	if rude {
		// Of a proxy with this toxic all connections are reset when they are closed, even if it never does so by itself.
		if err := l.add("rude", toxic{"reset_peer", "downstream", "timeout", 0}, 0); err != nil {
			return nil, err
		}
	}
	return l, l.begin()
}

// begin takes connections, as soon as the address is free: a process that is just being started has all files of this one for a moment.
func (l *link) begin() error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		if err := l.Start(); !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return err
		}
	}
}

// A toxic is something that a link does to what passes through it.
type toxic struct {
	Type, Stream, Attribute string
	Value                   int64
}

func (x toxic) String() string {
	return fmt.Sprintf("%s %s %s=%d", x.Stream, x.Type, x.Attribute, x.Value)
}

func (l *link) add(name string, x toxic, toxicity int) error {
	_, err := l.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name": %q, "type": %q, "stream": %q, "toxicity": %d, "attributes": {%q: %d}}`, name, x.Type, x.Stream, toxicity, x.Attribute, x.Value)))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", x, l.Name, err)
	}
	return nil
}

// suffer has the link do something until it is over.
func (l *link) suffer(x toxic, over <-chan struct{}) error {
	const name = "trouble"
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.add(name, x, 1); err != nil {
		return err
	}
	<-over
	if x.Type == "latency" {
		return l.Toxics.RemoveToxic(context.Background(), name)
	}
	// What was held back or thrown away is not to come through now as if nothing had been.
	l.Stop()
	if err := l.Toxics.RemoveToxic(context.Background(), name); err != nil {
		return err
	}
	return l.begin()
}

// cut closes all connections and refuses new ones until it is over.
func (l *link) cut(over <-chan struct{}) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Stop()
	<-over
	return l.begin()
}

// snap closes all connections again and again until it is over. New ones are welcome.
func (l *link) snap(over <-chan struct{}) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := l.cut(closedChannel); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-over:
			return nil
		}
	}
}

var closedChannel = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// patience is how long anything may take that is no fault.
const patience = 90 * time.Second
