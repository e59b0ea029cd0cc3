package sample

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"sync/atomic"
	"time"
)

// A Job has parameters of about a hundred bytes, or more of what cannot be compressed. All systems run it.
type Job struct {
	Page     string `json:"page"`
	Sent     int64  `json:"sent"` // when it was pushed, in nanoseconds since 1970
	Revision int64  `json:"revision"`
	Reason   string `json:"reason"`
	Filler   string `json:"filler,omitempty"`
}

// NewJob returns a job whose parameters have about so many bytes.
func NewJob(size int) Job {
	j := Job{Page: strings.Repeat("Page", 4), Sent: time.Now().UnixNano(), Revision: 123456789, Reason: "edit"}
	if more := size - 110; more > 0 {
		random := make([]byte, more*3/4)
		rand.Read(random)
		j.Filler = base64.StdEncoding.EncodeToString(random)
	}
	return j
}

// A Counter counts runs, and tells when there were enough.
type Counter struct {
	left atomic.Int64
	done chan struct{}
}

// NewCounter returns one that waits for n runs.
func NewCounter(n int) *Counter {
	c := &Counter{done: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

// Ran counts a run.
func (c *Counter) Ran(j *Job) {
	if j.Revision == 0 {
		panic("not decoded")
	}
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

// Since returns how many milliseconds ago a job was pushed.
func (j *Job) Since() float64 { return float64(time.Now().UnixNano()-j.Sent) / 1e6 }

// Done is closed when there were enough.
func (c *Counter) Done() <-chan struct{} { return c.done }

// Left returns how many are missing.
func (c *Counter) Left() int64 { return c.left.Load() }
