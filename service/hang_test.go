package service_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/service"
)

// A slow line answers nothing until who asks gives up, as long as it hangs.
type slowLine struct {
	*queuememory.Backend
	hangs atomic.Bool
}

func (l *slowLine) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if l.hangs.Load() {
		<-ctx.Done()
		return jobqueue.Value{}, false, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, ctx.Err())
	}
	return l.Backend.SetValue(ctx, v)
}

// However many services a process has, all of them have ended by the time that another process runs them, when the store
// hangs rather than fails.
func TestServicesMoveWhenTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const services = 5
		store := queuememory.New()
		var (
			mu    sync.Mutex
			where [services]map[int]bool
			hosts [2]*host
			lines [2]*slowLine
		)
		for i := range hosts {
			h := &host{T: t}
			lines[i] = &slowLine{Backend: store}
			h.options.Control = lines[i]
			for k := range services {
				h.Add(service.Service{Name: fmt.Sprint("s", k), Run: func(ctx context.Context, _ string) error {
					mu.Lock()
					if where[k] == nil {
						where[k] = map[int]bool{}
					}
					where[k][i] = true
					if len(where[k]) > 1 {
						t.Errorf("both processes run service %d", k)
					}
					mu.Unlock()
					<-ctx.Done()
					time.Sleep(4 * time.Second)
					mu.Lock()
					delete(where[k], i)
					mu.Unlock()
					return ctx.Err()
				}})
			}
			hosts[i] = h
			h.run()
			time.Sleep(time.Second)
		}
		at := func(i int) (n int) {
			mu.Lock()
			defer mu.Unlock()
			for _, w := range where {
				if w[i] {
					n++
				}
			}
			return n
		}
		for round := range 6 {
			from := round % 2
			time.Sleep(time.Minute + time.Duration(round)*time.Second)
			if n := at(from); n != services {
				t.Fatalf("%d services run in process %d, want all", n, from)
			}
			lines[from].hangs.Store(true)
			time.Sleep(30 * time.Second)
			if n := at(1 - from); n != services {
				t.Errorf("%d services run in the other process, want all", n)
			}
			lines[from].hangs.Store(false)
		}
		hosts[0].stopped()
		hosts[1].stopped()
	})
}
