package jobqueue

import "fmt"

// String names the claim's queue, job and attempt.
func (c *Claim) String() string { return fmt.Sprintf("%v job %s attempt %d", c.Name, c.ID, c.Attempt) }

// String names the job with its state, queue and parameters, and why it failed last.
func (e Entry) String() string {
	s := fmt.Sprintf("job %s %v %v %s", e.ID, e.State, e.Name, e.Params)
	if e.LastError != "" {
		s += fmt.Sprintf(" error=%q", e.LastError)
	}
	return s
}

// String names the queue and its counts.
func (c Counts) String() string {
	return fmt.Sprintf("%v: %d ready, %d delayed, %d claimed, %d abandoned", c.Name, c.Ready, c.Delayed, c.Claimed, c.Abandoned)
}

// String names the queue and the age of its oldest job.
func (b Backlog) String() string { return fmt.Sprintf("%v: ready for %v", b.Name, b.Age) }

// String names the queue and the parameters.
func (r Record) String() string { return fmt.Sprintf("%v %s", r.Name, r.Params) }

// String names the queue and what is wanted of it.
func (w Want) String() string {
	if w.ID != "" {
		return fmt.Sprintf("%v job %s", w.Name, w.ID)
	}
	return fmt.Sprintf("%v up to %d", w.Name, w.Max)
}

// String names the queue and the mark.
func (m Mark) String() string { return fmt.Sprintf("%v root %q at %v", m.Name, m.Key, m.Time) }
