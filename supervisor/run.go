//go:build unix

package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

const (
	defaultGrace = 30 * time.Second
	watchTime    = time.Second // at most between two calls of Options.Watch
)

// Run starts the children of a plan and keeps them running until ctx ends, all of them have stopped, or
// one asks for a restart; then it returns once all have ended. When ctx ends they get SIGTERM. So they do when one
// refuses before all have begun their work, and Run returns a [RefusalError]; one that refuses later is started again like any that ends.
//
// When the process that calls it ends in whatever way, children that call [Parent] learn of it.
// As the first process of a container it also reaps what others leave behind.
func Run(ctx context.Context, o Options) (Order, error) {
	s := &supervisor{Options: o, log: o.Logger, ended: make(chan ending), pid: os.Getpid()}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.Grace <= 0 {
		s.Grace = defaultGrace
	}
	if s.AbortGrace <= 0 {
		s.AbortGrace = defaultGrace
	}
	if s.Finish == nil {
		s.Finish = syscall.SIGTERM
	}
	r, w, err := os.Pipe()
	if err != nil {
		return End, fmt.Errorf("make a pipe for the children: %w", err)
	}
	// The other end is open for as long as this process lives.
	defer r.Close()
	defer w.Close()
	s.lifeline = r
	if err := s.plan(); err != nil {
		return End, err
	}
	order := s.run(ctx)
	if s.refusal != nil {
		return order, s.refusal
	}
	return order, nil
}

// A supervisor is one call of Run.
type supervisor struct {
	Options
	log      *slog.Logger
	pid      int
	lifeline *os.File // of which children inherit a copy
	children []*child
	ended    chan ending

	begun   bool
	ending  bool // nothing is started any more
	order   Order
	late    <-chan time.Time // when those that have not ended are killed
	refusal *RefusalError
	past    int // deaths of children that are not in the plan any more
}

// plan has the children be those of the plan.
func (s *supervisor) plan() error {
	list, err := s.Plan()
	if err != nil {
		return err
	}
	var kept []*child
	for i, c := range list {
		if slices.ContainsFunc(list[:i], func(o Child) bool { return o.Name == c.Name }) {
			return fmt.Errorf("two children have the name %q", c.Name)
		}
		i := slices.IndexFunc(s.children, func(old *child) bool { return old.Name == c.Name && !old.leaving })
		if i < 0 {
			kept = append(kept, &child{Child: c, s: s})
			continue
		}
		old := s.children[i]
		old.Child = c
		kept = append(kept, old)
	}
	for _, old := range s.children {
		if slices.Contains(kept, old) {
			continue
		}
		if old.proc == nil {
			s.past += old.deaths
			continue
		}
		if !old.leaving {
			old.leaving = true
			s.log.Info("child is not in the plan any more", "child", old.Name)
			p := old.proc
			p.signal(syscall.SIGTERM)
			time.AfterFunc(s.Grace, p.kill)
		}
		kept = append(kept, old)
	}
	s.children = kept
	return nil
}

func (s *supervisor) run(ctx context.Context) Order {
	orphans := make(chan os.Signal, 1)
	if s.pid == 1 {
		signal.Notify(orphans, syscall.SIGCHLD)
		defer signal.Stop(orphans)
	}
	done, abort := ctx.Done(), (<-chan struct{})(nil)
	for {
		next := s.startDue(time.Now())
		s.tell(false)
		if s.over() {
			s.ending = true
			s.tell(false)
			return s.order
		}
		timer := time.NewTimer(min(next, watchTime))
		select {
		case <-done:
			done, abort = nil, s.Abort
			s.end(End, syscall.SIGTERM, s.Grace)
		case <-abort:
			abort = nil
			s.each(func(p *process) { p.signal(syscall.SIGINT) })
			s.late = time.After(s.AbortGrace)
		case <-s.Replan:
			s.replan()
		case sig := <-s.Reload:
			s.reload(sig)
		case e := <-s.ended:
			s.bury(e)
		case <-s.late:
			s.late = nil
			s.each(func(p *process) {
				s.log.Error("child does not end and is killed", "pid", p.cmd.Process.Pid)
				p.kill()
			})
		case <-orphans:
			s.reapOrphans()
		case <-timer.C:
		}
		timer.Stop()
	}
}

// startDue starts what is to be started by now, and returns how long it is until something else is.
func (s *supervisor) startDue(now time.Time) time.Duration {
	next := watchTime
	if s.ending {
		return next
	}
	leaving := slices.ContainsFunc(s.children, func(c *child) bool { return c.leaving })
	for _, c := range s.children {
		// New ones begin once those that leave have ended, as they may share a limit of memory. Who was there before goes on.
		if c.proc != nil || c.stopped || c.leaving || leaving && c.due.IsZero() {
			continue
		}
		if now.Before(c.due) {
			next = min(next, c.due.Sub(now))
			continue
		}
		c.start()
	}
	return next
}

// over reports whether nothing is to run any more, and nothing does.
func (s *supervisor) over() bool {
	stopped := true
	for _, c := range s.children {
		if c.proc != nil {
			return false
		}
		stopped = stopped && c.stopped
	}
	if stopped && !s.ending {
		s.order = Stop
	}
	return stopped || s.ending
}

// end has all children end.
func (s *supervisor) end(order Order, how os.Signal, grace time.Duration) {
	// A signal goes before a child that asks for a restart.
	s.ending, s.order = true, order
	s.each(func(p *process) { p.signal(how) })
	if s.late = nil; grace > 0 {
		s.late = time.After(grace)
	}
}

func (s *supervisor) each(f func(p *process)) {
	for _, c := range s.children {
		if c.proc != nil {
			f(c.proc)
		}
	}
}

func (s *supervisor) reload(sig os.Signal) {
	if s.ending {
		return
	}
	s.tell(true)
	s.replan()
	for _, c := range s.children {
		if c.hears() && !c.leaving {
			c.proc.signal(sig)
		}
	}
}

func (s *supervisor) replan() {
	if s.ending {
		return
	}
	if err := s.plan(); err != nil {
		s.log.Error("the plan of the children stays as it is", "error", err)
	}
}

// bury notes that a process has ended.
func (s *supervisor) bury(e ending) {
	if text := e.p.refused.Load(); text != nil && !s.begun && !s.ending {
		s.refusal = &RefusalError{e.c.Name, *text}
		s.end(End, syscall.SIGTERM, s.Grace)
	}
	status := e.c.buried(e.p, e.err, time.Now())
	switch {
	case e.c.leaving:
		s.past += e.c.deaths
		s.children = slices.DeleteFunc(s.children, func(c *child) bool { return c == e.c })
	case status == ExitRestart && !s.ending:
		s.log.Info("all children finish, then the program is started anew")
		s.end(Restart, s.Finish, 0)
	}
}

// tell says how things are.
func (s *supervisor) tell(reload bool) {
	now := time.Now()
	st := State{Deaths: s.past, Reload: reload, Ending: s.ending, Order: s.order}
	for _, c := range s.children {
		st.Deaths += c.deaths
		if c.leaving {
			continue
		}
		if !c.stopped {
			st.Children++
		}
		if c.proc != nil {
			st.Running++
		}
		if c.working(now) {
			st.Working++
		}
		if c.back.looping() && !c.stopped {
			st.Looping++
		}
	}
	s.begun = s.begun || st.Working == st.Children && st.Children > 0
	if st.Begun = s.begun; s.Watch != nil {
		s.Watch(st)
	}
}
