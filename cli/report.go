package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
	"golang.org/x/term"
)

// A reporter shows what a command runs. ended is called from many goroutines, with the session that ran the job.
type reporter interface {
	ended(*session, runner.Ended)
	close(*runner.Result) error
}

// reporter returns what shows this run; stop ends it when nobody reads that any more.
func (f *runFlags) reporter(ctx context.Context, out io.Writer, s *session, stop func()) reporter {
	switch {
	case f.result == "json":
		return &document{out: out}
	case isTerminal(out):
		return &bar{out: out, bar: newBar(out, f.expected(ctx, s), "jobs")}
	}
	return &printer{out: out, stop: stop}
}

// claimed returns the id of a job as list shows it.
func (s *session) claimed(c *jobqueue.Claim) string { return s.label(s.Backend(c.Type), c.ID) }

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A printer prints a line for each job, which says all that the log would.
type printer struct {
	mu   sync.Mutex
	out  io.Writer
	stop func()
	err  error
}

func (p *printer) ended(s *session, e runner.Ended) {
	line := fmt.Sprintf("%s %s %s t=%d %s\n", now(), jobqueue.EscapeName(e.Claim.Type), short(e.Claim.Params),
		e.Took.Milliseconds(), s.outcome(e))
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.out, line); err != nil && p.err == nil {
		p.err = err
		p.stop()
	}
}

func (p *printer) close(res *runner.Result) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, now(), plain(res.String()))
	}
	return p.err
}

func now() string { return time.Now().UTC().Format(time.DateTime) }

// short returns parameters for a line of output.
func short(params json.RawMessage) string {
	const most = 200
	s := string(params)
	if len(s) <= most {
		return escape(s)
	}
	end := most
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return escape(s[:end]) + "…"
}

// outcome returns what became of a job, for people to read.
func (s *session) outcome(e runner.Ended) string {
	if e.Err == nil {
		return "good"
	}
	text, became := "error="+escape(e.Err.Error()), "lost"
	switch e.Action {
	case jobqueue.ActionRetry:
		became = "retried"
	case jobqueue.ActionAbandon:
		if became = "abandoned"; s.Policy(e.Claim.Type).AtMostOnce {
			became = "not tried again" // It was settled before it ran, so nothing is kept of it.
		}
	case jobqueue.ActionGiveBack:
		text, became = escape(e.Err.Error()), "put off"
		if errors.Is(e.Err, jobqueue.ErrFault) {
			text = "fault=" + text
		}
	}
	return fmt.Sprintf("%s (%s job %s, attempt %d, %s)", text, jobqueue.EscapeName(e.Claim.Domain), jobqueue.EscapeName(s.claimed(e.Claim)), e.Claim.Attempt, became)
}

// A bar is a progress bar.
type bar struct {
	out io.Writer
	bar *progressbar.ProgressBar
	mu  sync.Mutex
	n   int
}

func newBar(out io.Writer, total int, what string) *progressbar.ProgressBar {
	b := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("jobs"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)
	// Else time begins with the first job that is done, and the first rate is one of no time at all.
	b.StartWithoutRender()
	return b
}

// expected returns how many jobs the run will have as far as can be said, -1 if it cannot.
func (f *runFlags) expected(ctx context.Context, s *session) int {
	if f.o.Wait {
		return -1
	}
	counts, err := s.Counts(ctx)
	if err != nil {
		return -1
	}
	n := 0
	for _, c := range counts {
		if f.wants(s, c.Name) {
			n += c.Ready
		}
	}
	if f.o.MaxJobs > 0 {
		n = min(n, f.o.MaxJobs)
	}
	return max(n, 1)
}

func (f *runFlags) wants(s *session, n jobqueue.Name) bool {
	if !s.reg.Has(n.Type) || !s.farm.Has(n.Domain) || f.domain != "" && n.Domain != f.domain {
		return false
	}
	for _, t := range f.o.Types {
		if t == n.Type {
			return true
		}
	}
	return len(f.o.Types) == 0 && !s.Excluded(n.Type)
}

func (b *bar) ended(*session, runner.Ended) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	// Jobs that were pushed since make the run longer; the bar may end only with the run.
	if total := b.bar.GetMax(); total > 0 && b.n >= total {
		b.bar.ChangeMax(b.n + 1)
	}
	b.bar.Add(1)
}

func (b *bar) close(res *runner.Result) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bar.Finish()
	_, err := fmt.Fprintln(b.out, plain(res.String()))
	return err
}

// maxListed is how many jobs a document lists.
const maxListed = 10_000

// A document collects a run into one JSON document.
type document struct {
	mu      sync.Mutex
	out     io.Writer
	jobs    []ranJob
	leftOut int
}

// A ranJob is one run of a job.
type ranJob struct {
	Type   string  `json:"type"`
	Domain string  `json:"domain"`
	ID     string  `json:"id"`
	Status string  `json:"status"` // ok, failed, putOff or fault
	Error  *string `json:"error"`
	Time   int64   `json:"time"` // milliseconds
}

func (d *document) ended(s *session, e runner.Ended) {
	job := ranJob{Type: e.Claim.Type, Domain: e.Claim.Domain, ID: s.claimed(e.Claim), Status: "ok", Time: e.Took.Milliseconds()}
	if e.Err != nil {
		job.Status = "failed"
		switch {
		case errors.Is(e.Err, jobqueue.ErrFault):
			job.Status = "fault"
		case e.Action == jobqueue.ActionGiveBack:
			job.Status = "putOff"
		}
		job.Error = new(e.Err.Error())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.jobs) == maxListed {
		d.leftOut++
		return
	}
	d.jobs = append(d.jobs, job)
}

func (d *document) close(res *runner.Result) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := res.Counts
	doc := struct {
		Reached     runner.Reason     `json:"reached"`
		Error       string            `json:"error,omitempty"`
		Jobs        []ranJob          `json:"jobs"`
		JobsLeftOut int               `json:"jobsLeftOut"`
		Counts      map[string]int    `json:"counts"`
		Backoffs    map[string]int64  `json:"backoffs"` // seconds from now
		Faults      map[string]string `json:"faults"`   // of handlers, by type
		Elapsed     int64             `json:"elapsed"`  // milliseconds
	}{
		Reached:     res.Reached,
		Jobs:        d.jobs,
		JobsLeftOut: d.leftOut,
		Counts: map[string]int{
			"done": n.Done, "failed": n.Failed, "retried": n.Retried, "abandoned": n.Abandoned, "snoozed": n.Snoozed,
			"superseded": n.Superseded, "givenBack": n.GivenBack, "lost": n.Lost, "unsettled": n.Unsettled, "stuck": len(res.Stuck),
		},
		Backoffs: map[string]int64{},
		Faults:   res.Faults,
		Elapsed:  res.Elapsed.Milliseconds(),
	}
	if res.Err != nil {
		doc.Error = inline(res.Err)
	}
	if doc.Jobs == nil {
		doc.Jobs = []ranJob{}
	}
	for typ, until := range res.Backoffs {
		doc.Backoffs[typ] = int64(max(0, time.Until(until)+time.Second-1) / time.Second)
	}
	return printJSON(d.out, doc, "  ")
}
