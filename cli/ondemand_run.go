package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/runner"
)

// onDemandRuns are the runs of a command.
type onDemandRuns struct {
	*ondemand.Runner
	f       *onDemandFlags
	s       *session
	printer printer // of jobs, and of the runs
	trace   io.Writer

	mu     sync.Mutex
	failed bool                 // a job did, or a run
	errs   []error              // of domains that could not be run
	last   map[string]time.Time // when a domain was run in this process

	busy    map[string]bool // domains that run, or are next
	next    []string
	working int // goroutines that run them
}

func (f *onDemandFlags) start(s *session, c *cobra.Command, abort <-chan struct{}, stop func()) (*onDemandRuns, error) {
	leases, err := s.farm.Leases(s.Queues)
	if err != nil {
		return nil, err
	}
	if f.debug {
		s.level.Set(slog.LevelDebug)
	}
	w := &onDemandRuns{f: f, s: s, trace: c.ErrOrStderr(), last: map[string]time.Time{}, busy: map[string]bool{}}
	w.printer.out, w.printer.stop = c.OutOrStdout(), stop
	o := runner.Options{Logger: s.log, Label: s.claimed, Abort: abort, Config: s.farm.Digest(), Unlogged: true}
	o.OnEnd = func(e runner.Ended) {
		w.printer.ended(s, e)
		if e.Action == jobqueue.ActionRetry || e.Action == jobqueue.ActionAbandon {
			w.fail(nil)
		}
	}
	s.farm.Share(&o)
	if f.change != nil {
		f.change(&o)
	}
	w.Runner = ondemand.New(ondemand.Options{
		Leases: leases,
		Work:   []ondemand.Work{ondemand.Jobs(s.Group, s.reg, o)},
		Switch: s.farm.FollowOnDemand(),
		OnRun:  w.log,
		Logger: s.log,
	})
	return w, nil
}

// log writes the line of a run.
func (w *onDemandRuns) log(run ondemand.Run) {
	l := w.s.farm.OnDemandLog(run.Domain)
	l.Debug = w.f.debug
	if w.f.logFile != "" {
		l.Path = w.f.logFile
	}
	if w.f.logFormat != "" {
		l.JSON = w.f.logFormat == "json"
	}
	l.Write(run)
}

// rounds runs domains, which are all if there are none, once or again and again. A round does not wait for runs of the one before.
func (w *onDemandRuns) rounds(ctx context.Context, domains []string) error {
	var runs sync.WaitGroup
	defer runs.Wait()
	for first := true; ; first = false {
		begun := time.Now()
		due, err := w.due(ctx, domains, first)
		if err == nil {
			w.start(ctx, due, &runs)
		}
		if w.f.poll == 0 {
			runs.Wait()
			return errors.Join(err, w.printer.broken())
		}
		if err != nil && ctx.Err() == nil {
			w.s.log.Warn("a round of runs failed", "error", err)
		}
		next := time.NewTimer(w.f.poll - time.Since(begun))
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			runs.Wait()
			return w.printer.broken()
		}
	}
}

// due returns the domains that are to be run in a round.
func (w *onDemandRuns) due(ctx context.Context, domains []string, first bool) ([]string, error) {
	if len(domains) == 0 {
		domains = w.s.farm.Domains()
	}
	if first && domains != nil {
		return domains, nil
	}
	ready := map[string]bool{}
	for _, st := range w.s.Stores {
		queues, err := readReady(ctx, st.Backend, 0)
		if err != nil {
			return nil, fmt.Errorf("backend %s: %w", st.Name, err)
		}
		for _, q := range queues {
			ready[q.Domain] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if domains == nil {
		domains = slices.Collect(maps.Keys(ready))
		for d := range w.last {
			if !ready[d] {
				domains = append(domains, d)
			}
		}
		slices.Sort(domains)
	}
	return slices.DeleteFunc(slices.Clone(domains), func(d string) bool {
		return !ready[d] && (w.f.min == 0 || time.Since(w.last[d]) < w.f.min)
	}), nil
}

// start runs domains, a few at a time, but for those that still run or wait for that since an earlier round.
func (w *onDemandRuns) start(ctx context.Context, domains []string, runs *sync.WaitGroup) {
	o := ondemand.Once{NoDelay: w.f.noDelay || w.f.poll > 0 || len(domains) > 1 || w.f.all, NoLease: w.f.noLease}
	if w.f.trace {
		o.Trace = func(line string) { w.line(w.trace, line) }
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range domains {
		if !w.busy[d] {
			w.busy[d] = true
			w.next = append(w.next, d)
		}
	}
	for ; w.working < min(atOnce, len(w.busy)); w.working++ {
		runs.Go(func() { w.work(ctx, o) })
	}
}

// work runs domains until there are none.
func (w *onDemandRuns) work(ctx context.Context, o ondemand.Once) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.next) > 0 && ctx.Err() == nil {
		d := w.next[0]
		w.next = w.next[1:]
		w.mu.Unlock()
		w.once(ctx, d, o)
		w.mu.Lock()
		delete(w.busy, d)
	}
	w.working--
}

// once runs a domain and says what became of it.
func (w *onDemandRuns) once(ctx context.Context, domain string, o ondemand.Once) {
	begun := time.Now()
	run, ran, err := w.Once(ctx, domain, o)
	label, text := jobqueue.EscapeName(domain), ""
	switch {
	case errors.Is(err, jobqueue.ErrReadOnly) || errors.Is(run.Err, jobqueue.ErrReadOnly):
		text = "status=read-only"
		if s := w.s.farm.OnDemandSwitch(domain); s.ReadOnly != "" {
			text += ": " + escape(s.ReadOnly)
		}
	case ran:
		w.mu.Lock()
		w.last[domain] = begun
		w.mu.Unlock()
		if text = escape(run.Outcome); run.Err != nil {
			w.fail(fmt.Errorf("domain %s: %w", label, run.Err))
		} else if err != nil && ctx.Err() == nil {
			w.fail(fmt.Errorf("domain %s: %w", label, err)) // the one after it
		}
	case err != nil && ctx.Err() != nil:
		text = "ended before its turn"
	case err != nil:
		w.fail(fmt.Errorf("domain %s: %w", label, err))
		return
	case o.NoDelay || o.NoLease || w.s.farm.OnDemandSwitch(domain).NoDelay:
		text = "not due"
	default:
		text = "not needed: somebody else waits for its turn"
	}
	w.line(w.printer.out, label+" "+text)
}

// broken returns why nothing can be printed any more.
func (p *printer) broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// line prints a line between those of the jobs.
func (w *onDemandRuns) line(out io.Writer, text string) {
	p := &w.printer
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(out, text); err != nil && p.err == nil {
		p.err = err
		p.stop()
	}
}

// fail notes that something went wrong.
func (w *onDemandRuns) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = true
	if err != nil && w.f.poll == 0 {
		w.errs = append(w.errs, err)
	} else if err != nil {
		w.s.log.Warn(inline(err))
	}
}

func (w *onDemandRuns) verdict() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch err := errors.Join(w.errs...); {
	case err != nil:
		return err
	case w.failed && w.f.poll == 0:
		return &statusError{status: exitFailed}
	}
	return nil
}
