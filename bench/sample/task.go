// Package sample is what the processes that measure share: a task comes in, and a sample goes out.
package sample

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// A Task is what one process is to measure, and where.
type Task struct {
	System string // whose queue: jobqueue, river, …
	Do     string // push, drain, …
	Store  string // postgres, redis, sqlite, memory
	URL    string // of the server, or the file

	Jobs    int
	Size    int  // bytes of parameters
	Workers int  // 0 is the default of the system, or what its documentation begins with
	Tuned   bool // the settings under which the system is fastest, by its own words
	Relaxed bool // SQLite: synchronous=NORMAL
	Queues  int  // how many, of which most are empty
	Conns   int  // how many push batches at once, or claim them in a bare loop; 0 is one

	Rest, Spread time.Duration // latency: so long after a job has begun the next is pushed, and up to so much more, at random
	Window       time.Duration // idle: over how long requests are counted
	Patience     time.Duration // killed workers: how long others may take to begin their jobs again
}

// A Sample is what a process has measured.
type Sample struct {
	Jobs    int
	Seconds float64
	Waits   []float64 `json:",omitempty"` // milliseconds from push to start
	Sent    float64   // requests or transactions, while idle
	PeakMiB float64   // of the process; filled in by whoever started it
	Note    string    `json:",omitempty"`
	Err     string    `json:",omitempty"`
}

// Rate returns jobs per second.
func (s Sample) Rate() float64 { return float64(s.Jobs) / s.Seconds }

// A Measure does one kind of task of a system.
type Measure func(ctx context.Context, t Task) (Sample, error)

// Main is the main function of a process that measures: the task comes from standard input, the sample goes to
// standard output. The measures are by system, store and task.
func Main(measures map[string]Measure) error {
	var t Task
	if err := json.NewDecoder(os.Stdin).Decode(&t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	key := t.System + " " + t.Store + " " + t.Do
	do := measures[key]
	if do == nil {
		return fmt.Errorf("nothing measures %q", key)
	}
	s, err := do(ctx, t)
	if err != nil {
		s.Err = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// Timed returns the sample of so many jobs that do needs.
func Timed(jobs int, do func() error) (Sample, error) {
	began := time.Now()
	err := do()
	return Sample{Jobs: jobs, Seconds: time.Since(began).Seconds()}, err
}
