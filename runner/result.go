package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A Reason is why a run ended.
type Reason string

const (
	NoneReady    Reason = "none-ready"    // no job is ready, though some may be delayed or claimed by others
	NonePossible Reason = "none-possible" // the registry cannot run what was asked for
	JobLimit     Reason = "job-limit"     // Options.MaxJobs
	TimeLimit    Reason = "time-limit"    // Options.MaxTime
	MemoryLimit  Reason = "memory-limit"  // Options.MemoryLimit
	LowMemory    Reason = "soft-memory"   // Options.SoftMemory
	ReadOnly     Reason = "read-only"     // the queue refuses to hand out jobs; Err says why
	HandlerFault Reason = "handler-fault" // what is ready has a handler that is broken or away, see Faults; Err says how
	Throttled    Reason = "throttled"     // what is ready must not start yet, see Backoffs
	Stuck        Reason = "stuck"         // jobs are ready, but every worker has one that ignored its time limit; Err says so
	Exception    Reason = "exception"     // a store failed; Err says how
	Drained      Reason = "drained"       // Options.Drain
	Stopped      Reason = "stopped"       // the context of Run ended
)

// A Result is what a run did.
type Result struct {
	Reached  Reason
	Counts   Counts
	Backoffs map[string]time.Time // the types that were throttled last, and until when
	Faults   map[string]string    // the types that rested last because their handler is at fault, and why
	Elapsed  time.Duration        // how long Run took
	Stuck    []*jobqueue.Claim    // jobs that ignored the end of their context and still ran when Run returned
	Err      error                // with ReadOnly, NonePossible, HandlerFault, Stuck and Exception
}

// Counts are numbers of jobs. A job counts again each time it was claimed.
type Counts struct {
	Done       int // ran and are gone
	Failed     int // runs that failed: those retried and abandoned, and those of at-most-once jobs
	Retried    int // failed and wait for another try
	Abandoned  int // failed for good, or were found with no tries left
	Snoozed    int // asked to run later
	Superseded int // dropped for a newer root
	GivenBack  int // not run, interrupted by the end of the run, or met a handler at fault; ready again
	Lost       int // claims that somebody else got, or deleted, before they were settled
	Unsettled  int // what became of them could not be recorded; they run again when their lease ends
}

// Add adds the counts of another run.
func (c *Counts) Add(n Counts) {
	c.Done += n.Done
	c.Failed += n.Failed
	c.Retried += n.Retried
	c.Abandoned += n.Abandoned
	c.Snoozed += n.Snoozed
	c.Superseded += n.Superseded
	c.GivenBack += n.GivenBack
	c.Lost += n.Lost
	c.Unsettled += n.Unsettled
}

// Runs returns how many runs ended with a result that was recorded.
func (c Counts) Runs() int { return c.Done + c.Failed + c.Snoozed }

// String returns the result in one line, counts of zero left out.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d done", r.Counts.Done)
	for _, n := range []struct {
		n    int
		word string
	}{
		{r.Counts.Failed, "failed"}, {r.Counts.Retried, "retried"}, {r.Counts.Abandoned, "abandoned"},
		{r.Counts.Snoozed, "snoozed"}, {r.Counts.Superseded, "superseded"}, {r.Counts.GivenBack, "given back"},
		{r.Counts.Lost, "lost"}, {r.Counts.Unsettled, "unsettled"}, {len(r.Stuck), "stuck"},
	} {
		if n.n > 0 {
			fmt.Fprintf(&b, ", %d %s", n.n, n.word)
		}
	}
	fmt.Fprintf(&b, " in %v: %s", r.Elapsed.Round(time.Millisecond), r.Reached)
	if r.Err != nil {
		fmt.Fprintf(&b, ": %s", printable(r.Err.Error()))
	} else if len(r.Faults) > 0 {
		fmt.Fprintf(&b, ", handlers at fault: %s", printable(strings.Join(slices.Sorted(maps.Keys(r.Faults)), ", ")))
	}
	return b.String()
}

// A tally is Counts that many goroutines add to.
type tally struct {
	mu     sync.Mutex
	counts Counts
}

func (t *tally) add(f func(c *Counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.counts)
}
