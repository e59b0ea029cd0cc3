package ondemand

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

const (
	mostOfDomain  = 2 // one at work and one on deck
	mostProcesses = 32
)

// An Exec says how to start a process that calls [Runner.Once] for a domain, and ends. It is the program as it is found at the time, so
// one that was replaced is used from the next run on. The process has a session of its own, the null device as standard input, output
// and error, and no other files of this one; it goes on when this one ends. It waits on deck by itself, and it
// exits with another status than 0 if it could not run.
//
// There are at most two processes of a domain. They are started when the lease, which is read once, shows a free place.
// A process that cannot be started, or ends with an error before a run began, is not tried again for 1 s, then 2 s, up to a minute. Meanwhile what is due runs in this process.
type Exec struct {
	Path string                       // of the program; "" is this one's, [os.Executable]
	Args func(domain string) []string // without its name. Everybody on the machine can read them. Default the domain alone
	Env  []string                     // as in [os/exec.Cmd]: nil is this process's environment
	Most int                          // processes at once, of all domains; others wait in this process for one of them to end. Default 32
}

// A launcher has the processes that were started and still run, and the domains for which that went wrong.
type launcher struct {
	mu     sync.Mutex
	runs   map[string]int // processes of domains
	all    int
	failed map[string]*failure
}

// A failure is the last of one or more in a row.
type failure struct {
	err   error
	rest  time.Duration
	until time.Time
}

// launch has a domain run in a process of its own, now or when there is a place for it. It returns false if
// it is to be run in this one, without delay.
func (r *Runner) launch(ctx context.Context, w *want) bool {
	if r.launches.resting(w.domain) {
		return false
	}
	looked := time.Now()
	now, err := r.o.Leases.Read(ctx, w.domain)
	switch {
	case err != nil:
		r.rest(w, err)
	case now.Next.ID != "" && now.NextExpires >= 0:
		w.rest, w.behind, w.seen = 0, now.Token, looked
		r.later(w, now.Behind(r.o.Leases.Rules.WithDefaults()))
	case !r.launches.reserve(w.domain, r.o.Exec.most()):
		w.rest, w.behind = 0, 0
		r.later(w, time.Second)
	default:
		r.forget(w) // what is asked for from now on needs another process
		return r.start(w.domain, now.Token) || !r.remember(w)
	}
	return true
}

// start starts a process for a domain, whose lease has the token now. The caller has reserved a place for it.
func (r *Runner) start(domain string, token int64) bool {
	started := time.Now()
	cmd, err := r.o.Exec.command(domain)
	if err == nil {
		detach(cmd)
		err = cmd.Start()
	}
	if err != nil {
		r.launches.release(domain)
		r.launchFailed(domain, err)
		return false
	}
	r.o.Logger.Debug("a process for a run was started", "domain", domain, "pid", cmd.Process.Pid)
	go func() {
		err := cmd.Wait()
		r.launches.release(domain)
		r.ended(domain, token, started, err)
	}()
	return true
}

func (e *Exec) most() int {
	if e.Most <= 0 {
		return mostProcesses
	}
	return e.Most
}

func (e *Exec) command(domain string) (_ *exec.Cmd, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	path := e.Path
	if path == "" {
		if path, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	args := []string{domain}
	if e.Args != nil {
		args = e.Args(domain)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = e.Env
	return cmd, nil
}

// ended looks after a domain whose process has ended: one that was killed in the middle of what it was to do is
// followed by another, and one that has left as somebody else was on deck is waited for behind that.
func (r *Runner) ended(domain string, token int64, started time.Time, err error) {
	if err == nil {
		r.launches.forgive(domain)
	}
	ctx, cancel := context.WithTimeout(r.ctx, callTime)
	defer cancel()
	now, readErr := r.o.Leases.Read(ctx, domain)
	switch {
	case r.ctx.Err() != nil:
		return
	case err == nil && readErr == nil && now.Token == token && now.Next.ID != "":
		r.wait(domain, token, started, now.Behind(r.o.Leases.Rules.WithDefaults()))
		return
	case err == nil:
		return
	case readErr == nil && now.Token == token:
		r.launchFailed(domain, err)
	case readErr == nil && now.Over:
		r.o.Logger.Warn("a process for a run ended with an error", "domain", domain, "error", err)
		return
	default:
		r.o.Logger.Warn("a process for a run did not end it", "domain", domain, "error", err)
	}
	r.Poke(domain)
}

func (r *Runner) launchFailed(domain string, err error) {
	r.launchFailures.Add(1)
	rest := r.launches.fail(domain, err)
	r.o.Logger.Warn("a process for a run could not be started", "domain", domain, "error", err, "again_in", rest)
}

// launchError returns why the last process of a domain could not be started, if it could not.
func (r *Runner) launchError(domain string) error {
	l := &r.launches
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.failed[domain]; f != nil {
		return fmt.Errorf("launch failed: %w", f.err)
	}
	return nil
}

// resting reports whether a process of a domain failed so lately that none is to be started.
func (l *launcher) resting(domain string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failed[domain]
	return f != nil && time.Now().Before(f.until)
}

func (l *launcher) reserve(domain string, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs[domain] >= mostOfDomain || l.all >= most {
		return false
	}
	if l.runs == nil {
		l.runs = map[string]int{}
	}
	l.runs[domain]++
	l.all++
	return true
}

func (l *launcher) release(domain string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.runs[domain]--; l.runs[domain] == 0 {
		delete(l.runs, domain)
	}
}

// fail notes a failure and returns how long no process of the domain is to be started.
func (l *launcher) fail(domain string, err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for d, f := range l.failed {
		if now.Sub(f.until) > time.Hour { // nobody has asked for it since
			delete(l.failed, d)
		}
	}
	if l.failed == nil {
		l.failed = map[string]*failure{}
	}
	f := l.failed[domain]
	if f == nil {
		f = &failure{}
		l.failed[domain] = f
	}
	f.err, f.rest = err, min(max(2*f.rest, firstRest), mostRest)
	f.until = now.Add(f.rest)
	return f.rest
}

func (l *launcher) forgive(domain string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failed, domain)
}
