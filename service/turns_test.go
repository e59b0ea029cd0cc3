package service_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/service"
)

// A line is what a process reaches the store by; it can be cut.
type line struct {
	*queuememory.Backend
	cut atomic.Bool
}

func (l *line) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if l.cut.Load() {
		return jobqueue.Value{}, false, jobqueue.ErrUnavailable
	}
	return l.Backend.SetValue(ctx, v)
}

// A farm is two processes with the same services.
type farm struct {
	*testing.T
	host  [2]*host
	line  [2]*line
	mu    sync.Mutex
	where map[int]int // which processes run the service
	cause error       // of its last end
	moved time.Time   // when it began last
}

func newFarm(t *testing.T, slow time.Duration) *farm {
	f := &farm{T: t, where: map[int]int{}}
	store := queuememory.New()
	for i := range f.host {
		f.line[i] = &line{Backend: store}
		h := &host{T: t}
		h.options.Control = f.line[i]
		h.options.Domains = func() []string { return []string{"a", "b"} }
		h.Add(service.Service{Name: "one", Run: func(ctx context.Context, _ string) error {
			f.mu.Lock()
			if f.where[i]++; len(f.where) > 1 {
				t.Error("both processes run the service")
			}
			f.moved = time.Now()
			f.mu.Unlock()
			<-ctx.Done()
			time.Sleep(slow) // It takes its time.
			f.mu.Lock()
			delete(f.where, i)
			f.cause = context.Cause(ctx)
			f.mu.Unlock()
			return ctx.Err()
		}})
		h.Add(service.Service{Name: "each domain", PerDomain: true, Run: wait})
		h.Add(service.Service{Name: "everywhere", EachProcess: true, Run: wait})
		f.host[i] = h
		h.run()
		time.Sleep(time.Second)
	}
	return f
}

// last returns when the service began last, and why it ended before.
func (f *farm) last() (moved time.Time, cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moved, f.cause
}

// runs returns which process runs the service, -1 for none.
func (f *farm) runs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.where {
		return i
	}
	return -1
}

// Of the processes of a farm one runs a service. When it ends another does soon.
func TestServiceRunsInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, 20*time.Second)
		time.Sleep(time.Hour)
		first := f.runs()
		if first < 0 {
			t.Fatal("nobody runs the service")
		}
		for i, h := range f.host {
			want := service.Elsewhere
			if i == first {
				want = service.Running
			}
			if one, each := h.state("one", ""), h.state("everywhere", ""); one.Status != want || each.Status != service.Running || one.Calls > 1 {
				t.Errorf("in process %d they are %+v and %+v", i, one, each)
			}
		}
		at := time.Now()
		f.host[first].stopped()
		time.Sleep(10 * time.Second)
		if moved, _ := f.last(); f.runs() != 1-first || moved.Sub(at) > 26*time.Second {
			t.Errorf("after the end of process %d it runs in %d, %v later", first, f.runs(), moved.Sub(at))
		}
		if each := f.host[1-first].state("each domain", "b"); each.Status != service.Running {
			t.Errorf("that for each domain is %+v", each)
		}
		f.host[1-first].stopped()
	})
}

// A process that cannot say that it goes on ends its services before another begins them; a long end is waited for.
func TestServiceMovesWhenAProcessIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, 3*time.Second)
		first := f.runs()
		for range 3 { // there and back
			time.Sleep(time.Hour)
			f.line[first].cut.Store(true)
			at := time.Now()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if moved, cause := f.last(); f.runs() != 1-first || moved.Sub(at) > 20*time.Second || !errors.Is(cause, service.ErrElsewhere) {
				t.Errorf("cut off from process %d it runs in %d, %v later; it ended because of %v", first, f.runs(), moved.Sub(at), cause)
			}
			f.line[first].cut.Store(false)
			first = 1 - first
		}
		// A store that is away for a moment changes nothing.
		moved, _ := f.last()
		f.line[0].cut.Store(true)
		f.line[1].cut.Store(true)
		time.Sleep(7 * time.Second)
		f.line[0].cut.Store(false)
		f.line[1].cut.Store(false)
		time.Sleep(time.Minute)
		if now, _ := f.last(); !now.Equal(moved) {
			t.Error("the service moved")
		}
		f.host[0].stopped()
		f.host[1].stopped()
	})
}
