package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/schollz/progressbar/v3"
	"github.com/wikifarm/jobqueue"
)

// Bounds of a batch and of a line, in bytes.
const (
	maxBatch = 1 << 20
	maxLine  = 2 << 20
)

// A batch is jobs and the numbers of their lines.
type batch struct {
	specs []jobqueue.Spec
	lines []int
	size  int
}

func (b *batch) full() bool { return len(b.specs) >= jobqueue.MaxPush || b.size >= maxBatch }

// An intake reads lines into a batch while the one before is pushed. Whoever
// pushes takes what there is, so that batches are full when lines come fast and
// no line waits for another when they come slowly.
type intake struct {
	from int // the first line to push

	mu      sync.Mutex
	cond    sync.Cond
	next    batch
	reading bool  // of what was read at once there may be more lines
	err     error // io.EOF, or a *lineError
}

// A lineError is about one line of the input.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func newIntake(from int) *intake {
	in := &intake{from: from}
	in.cond.L = &in.mu
	return in
}

// A together is a reader of which the lines of one read go into one batch.
type together struct {
	io.Reader
	in *intake
}

func (t *together) Read(p []byte) (int, error) {
	t.in.more(false)
	n, err := t.Reader.Read(p)
	t.in.more(n > 0)
	return n, err
}

// more says whether there may be more lines at hand.
func (in *intake) more(reading bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = reading
	in.cond.Broadcast()
}

// read reads until the end of r or the first bad line.
func (in *intake) read(r io.Reader, check func([]byte) (jobqueue.Spec, error)) {
	sc := bufio.NewScanner(&together{r, in})
	sc.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	for sc.Scan() {
		n++
		line := sc.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		line = bytes.TrimSpace(line)
		if n < in.from || len(line) == 0 {
			continue
		}
		spec, err := check(line)
		if err != nil {
			in.end(&lineError{n, err})
			return
		}
		in.put(spec, n, len(line))
	}
	switch err := sc.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		in.end(&lineError{n + 1, fmt.Errorf("%w: it is over %d bytes", jobqueue.ErrTooLarge, maxLine)})
	case err != nil:
		in.end(&lineError{n + 1, err})
	case n < in.from-1:
		in.end(usagef("--from-line is %d, but standard input has %d lines", in.from, n))
	default:
		in.end(io.EOF)
	}
}

func (in *intake) put(s jobqueue.Spec, line, size int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.next.full() {
		in.cond.Wait()
	}
	in.next.specs = append(in.next.specs, s)
	in.next.lines = append(in.next.lines, line)
	in.next.size += size
	in.cond.Broadcast()
}

func (in *intake) end(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err, in.reading = err, false
	in.cond.Broadcast()
}

// take returns the next batch; or, once there is none, why there is no more.
func (in *intake) take(ctx context.Context) (batch, error) {
	defer context.AfterFunc(ctx, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.cond.Broadcast()
	})()
	in.mu.Lock()
	defer in.mu.Unlock()
	for (len(in.next.specs) == 0 || in.reading && !in.next.full()) && in.err == nil && ctx.Err() == nil {
		in.cond.Wait()
	}
	if ctx.Err() != nil {
		return batch{}, errors.New("interrupted")
	}
	if len(in.next.specs) == 0 {
		return batch{}, in.err
	}
	b := in.next
	in.next = batch{}
	in.cond.Broadcast()
	return b, nil
}

// A pusher pushes what an intake reads.
type pusher struct {
	s      *session
	in     *intake
	domain string // of lines that name none
	bar    *progressbar.ProgressBar

	sum  sum
	last int // the last line that is in, with all before it
}

// spec reads and checks one line, so that a batch holds nothing that is refused later.
func (p *pusher) spec(line []byte) (jobqueue.Spec, error) {
	spec, err := parseLine(line)
	if err != nil {
		return spec, &statusError{exitUsage, err}
	}
	if spec.Domain == "" {
		spec.Domain = p.domain
	}
	if spec.Domain, err = p.s.home(spec.Domain); err != nil {
		return spec, err
	}
	return spec, p.s.check(spec)
}

// check is [jobqueue.Group.Records] for one spec, whose place in the batch the error need not say.
func (s *session) check(spec jobqueue.Spec) error {
	_, err := s.Records(spec)
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func (p *pusher) run(ctx context.Context) error {
	p.last = p.in.from - 1
	for {
		b, err := p.in.take(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return p.stopped(err, 0)
		}
		// A signal ends the push between two batches, so that what is stored is known.
		pushed, err := p.s.Push(context.WithoutCancel(ctx), b.specs...)
		if err != nil {
			return p.failed(b, pushed, err)
		}
		p.sum.add(pushed)
		p.last = b.lines[len(b.lines)-1]
		if p.bar != nil {
			p.bar.Add(len(b.specs))
		}
	}
}

// failed works out which lines of a batch are in all the same.
func (p *pusher) failed(b batch, pushed jobqueue.Pushed, err error) error {
	later, gap := 0, pushed == nil
	for i, job := range pushed {
		switch {
		case job.Err != nil:
			gap = true
		case gap:
			later++
		default:
			p.last = b.lines[i]
		}
	}
	p.sum.add(pushed)
	return p.stopped(err, later)
}

// stopped adds to err how far the push has come.
func (p *pusher) stopped(err error, later int) error {
	so := "nothing is stored"
	if p.last >= p.in.from {
		so = fmt.Sprintf("stored up to line %d, go on with --from-line %d", p.last, p.last+1)
	}
	if later > 0 {
		so += fmt.Sprintf("; %d later jobs are stored already and would be stored twice", later)
	}
	if p.last < p.in.from && p.in.from > 1 {
		so += fmt.Sprintf(", go on with --from-line %d", p.in.from)
	}
	return &statusError{status(err), fmt.Errorf("%s (%s)", inline(err), so)}
}
