package runner

import (
	"context"
	"sync/atomic"
	"time"
)

// A scarcity ends a run when memory gets scarce. Nil never does.
type scarcity struct {
	m     *SoftMemory
	r     *run
	stop  context.CancelCauseFunc
	abort func()
	told  atomic.Bool  // the run ends
	hard  atomic.Bool  // its jobs are interrupted
	last  atomic.Int64 // when it was looked at last, in nanoseconds since 1970
}

const (
	scarceTime = time.Millisecond      // at least between two looks of workers
	breathTime = 10 * time.Millisecond // for what waits in the buffer to be given back
)

func newScarcity(r *run, stop context.CancelCauseFunc, abort context.CancelFunc) *scarcity {
	if r.o.SoftMemory == nil {
		return nil
	}
	return &scarcity{m: r.o.SoftMemory, r: r, stop: stop, abort: abort}
}

// look measures, and returns for how long nothing can happen.
func (s *scarcity) look() time.Duration {
	s.last.Store(time.Now().UnixNano())
	b, hard, next := s.m.look(s.told.Load())
	if b != nil && !s.told.Swap(true) {
		s.r.log.Warn("memory is at its soft limit", "used", megabytes(b.used(s.m.sample())), "limit", megabytes(b.soft), "of", b.name)
		s.stop(errSoftMemory)
	}
	if hard && !s.hard.Swap(true) {
		s.r.log.Warn("memory is nearly used up, jobs are interrupted")
		s.abort()
	}
	return next
}

// guard looks until ctx ends, or nothing more is to be done.
func (s *scarcity) guard(ctx context.Context) {
	for !s.hard.Load() && !(s.told.Load() && !s.m.firm()) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.look()):
		}
	}
}

// before looks before a worker begins a job: while all processors are busy the guard may come too late.
func (s *scarcity) before() {
	if s == nil {
		return
	}
	if now := time.Now().UnixNano(); !s.told.Load() && now-s.last.Load() > int64(scarceTime) {
		s.look()
	}
	if s.told.Load() && !s.hard.Load() {
		time.Sleep(breathTime)
		if s.m.firm() {
			s.look()
		}
	}
}
