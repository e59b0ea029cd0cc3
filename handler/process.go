package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	endGrace = 5 * time.Second // between asking processes to end and killing them
	drain    = time.Second     // how long output is waited for after a program's end, in case what it left behind holds it open
	tail     = 4 << 10         // how many bytes of a program's standard error are kept
)

// A process is a program that runs.
type process struct {
	in     *os.File // its standard input
	out    *os.File // its standard output; nil unless asked for
	stderr lastBytes
	pid    atomic.Int64 // 0 if not known

	end   func()        // has it end, and all it has started
	kill  func()        // the same at once, if end does not help
	ended chan struct{} // closed when the program has ended
	gone  chan struct{} // closed when all that it started has, too
	err   error         // how it ended; to be read once ended is closed
}

// An exitStatus is how a program ended that was not killed; not 0.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// A startError is why a program could not be started.
type startError struct {
	program string
	err     error
}

func (e *startError) Error() string { return e.program + ": " + e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// start starts the program of p.
func start(p *Program, env []string) (*process, error) {
	path, err := exec.LookPath(p.Argv[0])
	if err != nil {
		if e, ok := errors.AsType[*exec.Error](err); ok {
			err = e.Err
		}
		return nil, &startError{p.Argv[0], err}
	}
	proc := &process{ended: make(chan struct{}), gone: make(chan struct{})}
	var files pipes
	defer files.closeTheirs()
	stdin := files.to(&proc.in)
	var stderr, stdout *os.File
	theirs := files.from(&stderr)
	if p.Lines {
		stdout = files.from(&proc.out)
	}
	if files.err == nil {
		files.err = proc.launch(path, p, env, [3]*os.File{stdin, stdout, theirs}, &files)
	}
	if files.err != nil {
		files.closeOurs()
		return nil, &startError{p.Argv[0], files.err}
	}
	go func() {
		io.Copy(&proc.stderr, stderr)
		stderr.Close()
		proc.stderr.finish()
	}()
	go func() {
		<-proc.ended
		late := time.Now().Add(drain)
		stderr.SetReadDeadline(late)
		if proc.out != nil {
			proc.out.SetReadDeadline(late)
		}
	}()
	return proc, nil
}

// wait waits for the program to end, or has it end when ctx does and waits
// until everything it started has ended, too.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.stop()
	}
	return p.err
}

// stop has the process end and waits until all of it is gone.
func (p *process) stop() {
	p.end()
	select {
	case <-p.gone:
	case <-time.After(endGrace + drain):
		p.kill()
		<-p.ended
	}
}

// pipes are the ends of the pipes to a process.
type pipes struct {
	ours, theirs []*os.File
	err          error
}

// to makes a pipe to the process, and returns the end that it reads.
func (p *pipes) to(w **os.File) *os.File { return p.pipe(w, true) }

// from makes a pipe from the process, and returns the end that it writes to.
func (p *pipes) from(r **os.File) *os.File { return p.pipe(r, false) }

func (p *pipes) pipe(ours **os.File, write bool) *os.File {
	if p.err != nil {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		p.err = err
		return nil
	}
	if write {
		r, w = w, r
	}
	*ours = r
	p.ours, p.theirs = append(p.ours, r), append(p.theirs, w)
	return w
}

func (p *pipes) closeOurs() { closeAll(p.ours) }

func (p *pipes) closeTheirs() { closeAll(p.theirs) }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	mu       sync.Mutex
	b        []byte
	finished chan struct{}
}

// Write implements [io.Writer].
func (l *lastBytes) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p[max(0, len(p)-tail):]...)
	// Cutting only at twice the size keeps a chatty program cheap.
	if len(l.b) > 2*tail {
		l.b = append(l.b[:0], l.b[len(l.b)-tail:]...)
	}
	return len(p), nil
}

func (l *lastBytes) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = l.b[:0]
}

// done returns a channel that finish closes.
func (l *lastBytes) done() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finished == nil {
		l.finished = make(chan struct{})
	}
	return l.finished
}

func (l *lastBytes) finish() { close(l.done()) }

// explain returns err with the end of the output once all of it is there, together at most
// what a stored error may have; nil if err is nil.
func (l *lastBytes) explain(err error) error {
	if err == nil {
		return nil
	}
	<-l.done()
	l.mu.Lock()
	defer l.mu.Unlock()
	room := max(0, jobqueue.MaxError-len(err.Error())-len(": "))
	said := strings.TrimSpace(strings.ToValidUTF8(string(l.b[max(0, len(l.b)-room):]), "\uFFFD"))
	if len(said) > room {
		said = strings.ToValidUTF8(said[len(said)-room:], "")
	}
	if said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}
