//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// deafTime is how long a child that has told that it is alive may say nothing before it counts as hung.
const deafTime = 30 * time.Second

// lastWords is how long a process that has ended is listened to.
const lastWords = 100 * time.Millisecond

// A child is what is known of a Child.
type child struct {
	Child
	s       *supervisor
	proc    *process // nil: it does not run
	due     time.Time
	back    backoff
	deaths  int
	stopped bool // it said that it is not to be started again
	leaving bool // it is not in the plan any more
}

// A process is a child that runs.
type process struct {
	cmd      *exec.Cmd
	began    time.Time
	heard    atomic.Int64 // when it last said that it is alive, in nanoseconds since 1970; 0: never
	recycled atomic.Pointer[string]
	refused  atomic.Pointer[string]
	link     *os.File      // on which it says so
	silent   chan struct{} // closed when it can say nothing any more
	over     atomic.Bool   // it has ended, and its number may be another's
}

// An ending is how a process ended.
type ending struct {
	c   *child
	p   *process
	err error
}

// start starts the child's process.
func (c *child) start() {
	p := &process{began: time.Now(), silent: make(chan struct{})}
	if err := p.launch(c.Command(), c.s.lifeline); err != nil {
		c.deaths++
		delay := c.back.after(p.began, 0, false, false)
		c.due = p.began.Add(delay)
		c.s.log.Error("child not started", "child", c.Name, "error", err, "again", delay)
		return
	}
	c.proc = p
	c.s.log.Info("child started", "child", c.Name, "pid", p.cmd.Process.Pid)
	go func() {
		err := p.cmd.Wait()
		p.over.Store(true)
		// What it has started may hold the pipe open; its last words are in it already.
		p.link.SetReadDeadline(time.Now().Add(lastWords))
		<-p.silent
		c.s.ended <- ending{c, p, err}
	}()
}

// launch starts cmd with a link to this process.
func (p *process) launch(cmd *exec.Cmd, lifeline *os.File) error {
	given := cmd.ExtraFiles
	defer func() {
		for _, f := range given {
			f.Close()
		}
	}()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	first := 3 + len(cmd.ExtraFiles)
	cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), ours)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d,%d", linkVar, first, first+1))
	cmd.ExtraFiles = append(slices.Clone(cmd.ExtraFiles), lifeline, w)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// What the terminal sends is for the supervisor, which passes it on once.
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		r.Close()
		return err
	}
	p.cmd, p.link = cmd, r
	go p.listen()
	return nil
}

// ours reports whether a variable of the environment is about the supervisor's own process.
func ours(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{linkVar, "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}, name)
}

// signal sends a signal to the process, which may have ended.
func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process and what it has started in its process group.
func (p *process) kill() {
	if p.over.Load() {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	p.signal(syscall.SIGKILL)
}

// working reports whether the child runs and, if it is one that says so, has said lately that it is alive.
func (c *child) working(now time.Time) bool {
	if c.proc == nil {
		return false
	}
	if !c.Beats {
		return !c.back.looping()
	}
	heard := c.proc.heard.Load()
	return heard > 0 && now.Sub(time.Unix(0, heard)) < deafTime
}

// hears reports whether the child's process has begun its work, so that a signal does not end it by default.
func (c *child) hears() bool { return c.proc != nil && (!c.Beats || c.proc.heard.Load() > 0) }

// buried notes how the child's process ended, and when it is to be started again.
func (c *child) buried(p *process, err error, now time.Time) (status int) {
	// What it has left behind has nobody to look after it.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	c.proc = nil
	status = p.cmd.ProcessState.ExitCode()
	lived := now.Sub(p.began)
	log := c.s.log.With("child", c.Name, "pid", p.cmd.Process.Pid, "lived", lived.Round(time.Millisecond))
	reason := p.recycled.Load()
	switch {
	case c.s.ending || c.leaving:
		log.Info("child ended", "how", p.howEnded(err))
		c.stopped = c.stopped || status == ExitStop
		return status
	case status == ExitStop:
		c.stopped = true
		log.Info("child stopped, it is not started again")
		return status
	case status == ExitRestart:
		log.Info("child asks for a restart")
		return status
	}
	delay := c.back.after(now, lived, status == ExitRecycle, status == ExitRecycle && reason != nil)
	c.due = now.Add(delay)
	if c.deaths++; status == ExitRecycle && reason != nil {
		log.Info("child recycled", "reason", *reason)
		return status
	}
	log = log.With("how", p.howEnded(err), "again", delay)
	switch {
	case c.back.looping():
		log.Error("crash loop: the child keeps ending soon after its start", "times", c.back.soon, "within", now.Sub(c.back.first).Round(time.Millisecond))
	case status == ExitRecycle && c.back.soon == 0:
		log.Info("child recycled")
	default:
		log.Warn("child ended")
	}
	return status
}

// howEnded says how the process ended.
func (p *process) howEnded(err error) string {
	if text := p.refused.Load(); text != nil {
		return "refused: " + *text
	}
	if err == nil {
		return "exit status 0"
	}
	e, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case !ok:
		return err.Error()
	case e.ExitCode() == exitPanic:
		return e.ProcessState.String() + ", as of a Go program after a panic or a signal such as SIGSEGV"
	}
	return e.ProcessState.String()
}

// exitPanic is how Go programs end that panic, or get a signal that tells of a broken program.
const exitPanic = 2
