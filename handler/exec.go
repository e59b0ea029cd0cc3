package handler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	// ExitRetry is the exit status with which a program asks to be tried again
	// later, without the attempt being counted. It is EX_TEMPFAIL of sysexits.h.
	ExitRetry = 75

	// RetryAfter is how much later that is.
	RetryAfter = 30 * time.Second
)

// Exec returns a constructor of jobs that run a program, as [Program.Jobs] does.
func Exec(program string, arg ...string) func(typ string) jobqueue.Job {
	p := Program{Argv: append([]string{program}, arg...)}
	return p.Jobs()
}

// A Program is run for jobs. There is no shell: the arguments reach it as they are.
//
// It finds the job on its standard input, as one JSON object:
//
//	{"id": "…", "domain": "…", "type": "…", "attempt": 1, "queued": "…",
//	 "root": {"key": "…", "time": "…"}, "headers": {…}, "params": {…}}
//
// root and headers are left out if the job has none; params are byte for byte
// what was pushed. A child that the program pushes should be given the root.
//
// Its environment is PATH, HOME, LANG and TZ of this process, JOBQUEUE_ID,
// JOBQUEUE_DOMAIN, JOBQUEUE_TYPE, JOBQUEUE_ATTEMPT and JOBQUEUE_DEADLINE of the
// job, and Env; nothing else of this process.
//
// Exit status 0 means that the job is done, [ExitRetry] that it is to be
// tried again after [RetryAfter]. Any other one, or a signal, is a failure, whose
// reason is the last 4 KiB of standard error. Standard output is discarded.
// A program that cannot be started is a [jobqueue.Fault].
//
// When the job's context ends, or this process in whatever way, the program and all it has
// started get SIGTERM and, after five seconds, SIGKILL. So does what
// a program leaves behind when it ends: what must go on is to be started by a service manager.
// Outside of Unix the program alone is killed, and what it has started is not found.
//
// For this the executable of this process is started once more for each program, under the
// name jobqueue-shim, which the initialization of this package notices. On systems other than Linux
// it does not find what has left the process group.
type Program struct {
	Argv   []string          // the program, looked up in PATH, and its arguments
	Env    map[string]string // goes before the rest of its environment
	Memory int64             // bytes of address space that each of its processes may have; 0 is no limit

	// Lines keeps the program running: it reads a line for each job, with the
	// same object, and answers each with a line of JSON on standard output before it
	// gets the next:
	//
	//	{"id": "…", "ok": true}
	//	{"id": "…", "error": "…"}                      failed
	//	{"id": "…", "error": "…", "retryIn": "30s"}    failed, try again after that long
	//	{"id": "…", "error": "…", "abandon": true}     failed for good
	//	{"id": "…", "snooze": "10s"}                   later, not counted
	//
	// There are at most as many such processes as jobs at once. If one ends, or answers
	// anything else, the job in hand alone has failed. It should end when its
	// standard input does, which happens after a minute without a job. Of the job's
	// variables its environment has none.
	Lines     bool
	MaxJobs   int   // with Lines: a new process after so many jobs; 0 is no limit
	MaxMemory int64 // with Lines, on Linux: or when one has more bytes in memory than this after a job; 0 is no limit
}

// Jobs returns a constructor of jobs that p runs, for [jobqueue.Registry.Fallback]
// or, with one type, for [jobqueue.Registry.Add]. It panics if there is no program.
func (p Program) Jobs() func(typ string) jobqueue.Job {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		panic("handler: program without a name")
	}
	run := p.run
	if p.Lines {
		run = (&workers{program: &p}).run
	}
	return func(typ string) jobqueue.Job { return &job{typ, run} }
}

// A job is run by a function that all jobs of its handler share.
type job struct {
	typ string
	run func(context.Context, *jobqueue.Claim) error
}

// Type implements [jobqueue.Job].
func (j *job) Type() string { return j.typ }

// Run implements [jobqueue.Job].
func (j *job) Run(ctx context.Context) error {
	c := jobqueue.FromContext(ctx)
	if c == nil {
		return errors.New("job outside of a runner: its context has no claim")
	}
	return j.run(ctx, c)
}

// run runs the program for one job.
func (p *Program) run(ctx context.Context, c *jobqueue.Claim) error {
	input, err := encode(c)
	if err != nil {
		return err
	}
	vars := []string{"JOBQUEUE_ID=" + c.ID, "JOBQUEUE_DOMAIN=" + c.Domain, "JOBQUEUE_TYPE=" + c.Type,
		"JOBQUEUE_ATTEMPT=" + strconv.Itoa(c.Attempt)}
	if at, ok := ctx.Deadline(); ok {
		vars = append(vars, "JOBQUEUE_DEADLINE="+at.UTC().Format(time.RFC3339))
	}
	proc, err := start(p, p.environ(vars))
	if err != nil {
		return jobqueue.Fault(err)
	}
	go func() {
		// A program need not read its input; what it did not read is cut off when it ends.
		proc.in.Write(input)
		proc.in.Close()
	}()
	err = proc.wait(ctx)
	proc.in.Close()
	if err != nil && ctx.Err() != nil {
		return proc.stderr.explain(fmt.Errorf("killed: %w", context.Cause(ctx)))
	}
	return proc.verdict(err)
}

// verdict turns how a program ended into what becomes of its job.
func (p *process) verdict(err error) error {
	if s, ok := err.(exitStatus); ok && s == ExitRetry {
		return jobqueue.Snooze(RetryAfter)
	}
	if s, ok := errors.AsType[*startError](err); ok {
		return jobqueue.Fault(s)
	}
	return p.stderr.explain(err)
}

// environ returns the environment of the program, with these variables of its job.
func (p *Program) environ(vars []string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	env = append(env, vars...)
	// Of two the last counts.
	for name, v := range p.Env {
		env = append(env, name+"="+v)
	}
	return slices.Clip(env)
}
