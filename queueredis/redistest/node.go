//go:build unix

package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue/internal/child"
)

// Ports are taken from below those that the system gives to connections, so that a server which
// is started again finds its own free.
const (
	firstPort = 10_000
	ports     = 20_000
	tries     = 20
)

// startNode starts a server that others reach by a port. Args follow the file of its settings.
func startNode(settings []string, args ...string) (s *Server, err error) {
	for range tries {
		port, bus := firstPort+rand.IntN(ports), firstPort+rand.IntN(ports)
		all := append([]string{"bind 127.0.0.1", fmt.Sprint("port ", port), fmt.Sprint("cluster-port ", bus)}, settings...)
		s, err = private(&Server{Addr: fmt.Sprint("127.0.0.1:", port), settings: all, args: args})
		if err == nil {
			return s, nil
		}
		// As far as can be told another has one of the ports.
	}
	return nil, err
}

// Do gives a server a command.
func (s *Server) Do(ctx context.Context, args ...any) (any, error) {
	c := s.Client()
	defer c.Close()
	return c.Do(ctx, args...).Result()
}

// Info returns what a server says of a section, by name.
func (s *Server) Info(ctx context.Context, section string) (map[string]string, error) {
	c := s.Client()
	defer c.Close()
	text, err := c.Info(ctx, section).Result()
	return fields(text), err
}

// fields splits lines that are a name, a colon and a value.
func fields(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[k] = v
		}
	}
	return all
}

// await returns when the condition is true. An error of it is what it waits for; it is returned if it lasts.
func await(ctx context.Context, what string, condition func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, child.Patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := condition(ctx)
		if ok && err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited for %s: %w", what, ctx.Err()), err)
		}
	}
}

// stopAll stops servers.
func stopAll(servers []*Server) (err error) {
	for _, s := range servers {
		err = errors.Join(err, s.Stop())
	}
	return err
}
