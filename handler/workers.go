package handler

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	idleTime  = time.Minute // after which a process without a job may go
	maxAnswer = 64 << 10    // bytes of an answer
)

// workers are the processes of a program that reads a line for each job.
type workers struct {
	program *Program

	mu   sync.Mutex
	idle []*lineWorker
}

// A lineWorker is one of them.
type lineWorker struct {
	*process
	answers *bufio.Reader
	jobs    int // it has answered
	leave   *time.Timer
}

// run has one of the processes do a job.
func (w *workers) run(ctx context.Context, c *jobqueue.Claim) error {
	line, err := encode(c)
	if err != nil {
		return err
	}
	// Outside of strings JSON takes a space for a newline, and inside there is none.
	for i, b := range line[:len(line)-1] {
		if b == '\n' || b == '\r' {
			line[i] = ' '
		}
	}
	for {
		k, err := w.take()
		if err != nil {
			return jobqueue.Fault(err)
		}
		result, err := k.ask(ctx, line, c.ID)
		switch {
		case err == nil:
			k.jobs++
			if ctx.Err() != nil {
				k.retire() // it was told to end
			} else {
				w.put(k)
			}
			return result
		case ctx.Err() != nil:
			k.stop()
			k.close()
			return k.stderr.explain(fmt.Errorf("killed: %w", context.Cause(ctx)))
		case err != errNoAnswer:
			k.end()
			k.retire()
			return err
		}
		select {
		case <-k.ended:
		case <-time.After(drain):
			k.stop()
		}
		k.close()
		switch {
		case k.err != nil:
			return k.verdict(k.err)
		case k.jobs == 0:
			return k.stderr.explain(err)
		}
		// It left by itself, maybe before it was asked. A new one has no such excuse.
	}
}

// errNoAnswer: the program ended, or its standard output did.
var errNoAnswer = errors.New("the program ended without an answer")

// take returns an idle process or a new one.
func (w *workers) take() (*lineWorker, error) {
	for {
		w.mu.Lock()
		n := len(w.idle)
		if n == 0 {
			w.mu.Unlock()
			break
		}
		k := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		k.leave.Stop()
		select {
		case <-k.ended:
			k.retire()
			continue
		default:
		}
		k.stderr.reset()
		return k, nil
	}
	proc, err := start(w.program, w.program.environ(nil))
	if err != nil {
		return nil, err
	}
	return &lineWorker{process: proc, answers: bufio.NewReaderSize(proc.out, maxAnswer)}, nil
}

// put takes a process back, unless it has done enough.
func (w *workers) put(k *lineWorker) {
	p := w.program
	if p.MaxJobs > 0 && k.jobs >= p.MaxJobs || p.MaxMemory > 0 && memoryOf(k.pid.Load()) > p.MaxMemory {
		k.retire()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, k)
	k.leave = time.AfterFunc(idleTime, func() { w.dismiss(k) })
}

// dismiss has a process end if it is idle still.
func (w *workers) dismiss(k *lineWorker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.idle {
		if other == k {
			w.idle = append(w.idle[:i], w.idle[i+1:]...)
			k.retire()
			return
		}
	}
}

// retire lets the process end by itself, for a while.
func (k *lineWorker) retire() {
	k.in.Close()
	go func() {
		select {
		case <-k.gone:
		case <-time.After(endGrace):
			k.stop()
		}
		k.close()
	}()
}

func (k *lineWorker) close() {
	k.in.Close()
	k.out.Close()
}

// ask hands the job's line to the process and returns its verdict, or why there is none.
func (k *lineWorker) ask(ctx context.Context, line []byte, id string) (result, err error) {
	defer context.AfterFunc(ctx, k.end)()
	written := make(chan error, 1)
	go func() {
		_, err := k.in.Write(line)
		written <- err
	}()
	b, err := k.answers.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	case err != nil:
		return nil, errNoAnswer
	}
	if k.answers.Buffered() > 0 {
		// The next job would get the rest.
		return nil, errors.New("the answer has more than one line")
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, fmt.Errorf("the answer %.200q is not as agreed: %w", bytes.TrimSpace(b), err)
	}
	if result, err = a.verdict(id); err != nil {
		return nil, err
	}
	select {
	case <-written:
		return result, nil
	case <-time.After(drain):
		return nil, errors.New("the program answered before it had read the job")
	}
}

// An answer is what a process says of a job.
type answer struct {
	ID      string `json:"id"`
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	RetryIn string `json:"retryIn"`
	Snooze  string `json:"snooze"`
	Abandon bool   `json:"abandon"`
}

// verdict returns what Run returns, or why the answer is not as agreed.
func (a *answer) verdict(id string) (result, broken error) {
	if a.ID != id {
		return nil, fmt.Errorf("the program answered for job %.100q, not %q", a.ID, id)
	}
	length := func(s string) (d time.Duration) {
		if d, broken = time.ParseDuration(s); broken != nil {
			broken = fmt.Errorf("the program's answer: %w", broken)
		}
		return d
	}
	reason := errors.New(a.Error)
	switch {
	case a.OK && (a.Error != "" || a.Snooze != "" || a.Abandon):
		return nil, errors.New("the program's answer is ok and something else")
	case a.OK:
		return nil, nil
	case a.Snooze != "":
		d := length(a.Snooze)
		return jobqueue.Snooze(d), broken
	case a.Error == "":
		return nil, errors.New("the program's answer has neither ok nor error nor snooze")
	case a.Abandon:
		return jobqueue.Abandon(reason), nil
	case a.RetryIn != "":
		d := length(a.RetryIn)
		return jobqueue.RetryIn(d, reason), broken
	}
	return reason, nil
}
