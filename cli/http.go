package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/monitor"
	"github.com/wikifarm/jobqueue/runner"
)

// exports are where runjobs tells what it does: over HTTP, to statsd, to a monitor. Without any there are no hooks.
type exports struct {
	addr    string // of HTTP; "" for none
	maxAge  time.Duration
	count   time.Duration
	metrics *metrics.Metrics
	sinks   []monitor.Sink
	log     atomic.Pointer[slog.Logger] // from start on

	exhausted func(*session, runner.Ended) // nil, or is told of jobs whose tries were used up by claims that ran out
}

func (x *exports) flags(fs *pflag.FlagSet) {
	x.maxAge = 10 * time.Minute
	fs.Var(&flag{kind: "addr", read: x.setAddr}, "http", "serve /metrics, /healthz and /readyz at `ADDR`, such as :9199, 127.0.0.1:9199-9299 for the first free port, or unix:/run/jobqueue.sock")
	fs.Var(duration(&x.maxAge), "ready-age", "how long a job may be ready before /readyz says no; 0 for any time")
	fs.Var(duration(&x.count), "count-every", "have /metrics count the jobs by state, at most so often, which takes time in a very large store")
	fs.Var(&flag{kind: "host", read: x.sink(monitor.Statsd)}, "statsd", "send counters to statsd at `HOST[:PORT]`")
	fs.Var(&flag{kind: "url", read: x.sink(monitor.StatusNet)}, "monitor", "send events to a StatusNet monitor at `URL`, such as udp://127.0.0.1:9999")
}

func (x *exports) sink(open func(string, monitor.Options) (monitor.Sink, error)) func(string) error {
	return func(s string) error {
		sink, err := open(s, monitor.Options{Failed: x.failed})
		if err == nil {
			x.sinks = append(x.sinks, sink)
		}
		return err
	}
}

func (x *exports) failed(err error) {
	if log := x.log.Load(); log != nil {
		log.Warn("a listener is not told what happens", "error", err)
	}
}

func (x *exports) setAddr(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return errors.New("unix: must be followed by the path of a socket")
		}
	} else if _, _, _, err := ports(s); err != nil {
		return err
	}
	x.addr = s
	return nil
}

// ports splits an address with a port or, as in :9100-9199, a range of ports.
func ports(addr string) (host string, low, high int, err error) {
	host, port, err := net.SplitHostPort(addr)
	from, to, ranged := strings.Cut(port, "-")
	low, errLow := strconv.Atoi(from)
	high = low
	if ranged {
		var errHigh error
		high, errHigh = strconv.Atoi(to)
		errLow = errors.Join(errLow, errHigh)
	}
	if err != nil || errLow != nil || low < 0 || high > 65535 || high < low || ranged && low == 0 {
		return "", 0, 0, errors.New("it must be such as :9199, 127.0.0.1:9199, :9199-9299 or unix:/run/jobqueue.sock")
	}
	return host, low, high, nil
}

// trace returns the hooks for the group of a session, besides the program's own.
func (x *exports) trace(s *session, more *jobqueue.Trace) *jobqueue.Trace {
	all := []*jobqueue.Trace{more, {Exhausted: func(_ context.Context, c *jobqueue.Claim, reason string) {
		if x.exhausted != nil {
			x.exhausted(s, runner.Ended{Claim: c, Err: errors.New(reason), Action: jobqueue.ActionAbandon, Began: time.Now()})
		}
	}}}
	if x.addr != "" {
		if x.metrics == nil {
			x.metrics = metrics.New(metrics.Options{CountEvery: x.count})
		}
		all = append(all, x.metrics.Trace())
	}
	for _, s := range x.sinks {
		all = append(all, s.Trace())
	}
	return jobqueue.JoinTraces(all...)
}

// watch has a run told of and, once it has begun, the stores of its session.
func (x *exports) watch(s *session, o *runner.Options) {
	if x.metrics != nil {
		x.metrics.Know(s.reg.Types(), s.farm.Domains())
		x.metrics.Runner(o)
		stores := make([]metrics.Store, len(s.Stores))
		for i, st := range s.Stores {
			stores[i] = metrics.Store{Name: st.Name, Backend: st.Backend}
		}
		var begun sync.Once
		alive := o.Alive
		o.Alive = func() {
			begun.Do(func() { x.metrics.Watch(s.Group, stores...) })
			alive()
		}
	}
	for _, sink := range x.sinks {
		sink.Runner(o)
	}
}

// start begins to serve; when ctx ends the process counts as stopping. What it returns ends it all.
func (x *exports) start(ctx context.Context, log *slog.Logger) (stop func(), err error) {
	x.log.Store(log)
	end := func() {
		for _, s := range x.sinks {
			s.Close()
			if n := s.Dropped(); n > 0 {
				log.Warn("messages for statsd or a monitor were dropped", "messages", n)
			}
		}
	}
	if x.addr == "" {
		return end, nil
	}
	l, err := listen(ctx, x.addr)
	if err != nil {
		end()
		return nil, &statusError{exitUsage, fmt.Errorf("--http %s: %w", x.addr, err)}
	}
	log.Info("serving /metrics, /healthz and /readyz", "addr", l.Addr().String())
	server := &http.Server{
		Handler:           x.metrics.HandlerFor(x.maxAge),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	context.AfterFunc(ctx, x.metrics.Stopping)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() {
		x.metrics.Watch(nil)
		server.Close()
		<-served
		end()
	}, nil
}

// listen opens the address that setAddr has checked.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return listenUnix(ctx, &lc, path)
	}
	host, low, high, err := ports(addr)
	if err != nil {
		return nil, err
	}
	for port := low; ; port++ {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		switch {
		case err == nil:
			return l, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return nil, err
		case port < high:
		case low < high:
			return nil, fmt.Errorf("all ports from %d to %d are in use", low, high)
		default:
			return nil, errors.New("the address is in use")
		}
	}
}

// listenUnix listens at a socket, in place of one that a process which has died has left there.
func listenUnix(ctx context.Context, lc *net.ListenConfig, path string) (net.Listener, error) {
	l, err := lc.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, errors.New("there is something else than a socket")
	}
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errors.New("the address is in use")
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return lc.Listen(ctx, "unix", path)
}
