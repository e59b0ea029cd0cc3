package service_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue/service"
)

// Of very many ticks few come at once, and between them nothing waits but one goroutine.
func TestManyTicks(t *testing.T) {
	bubble(t, func(h *host) {
		const n = 10_000
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprint("wiki", i)
		}
		h.options.Domains = func() []string { return list }
		var mu sync.Mutex
		calls, second := map[string]int{}, map[time.Duration]int{}
		h.Add(service.Service{Name: "s", PerDomain: true, Every: time.Minute, Run: func(_ context.Context, domain string) error {
			mu.Lock()
			defer mu.Unlock()
			calls[domain]++
			second[time.Since(h.begin)/time.Second]++
			return nil
		}})
		before := runtime.NumGoroutine()
		h.run()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more > 10 {
			t.Errorf("%d goroutines for what waits", more)
		}
		mu.Lock()
		for _, d := range list {
			if calls[d] < 9 || calls[d] > 10 {
				t.Errorf("%s was called %d times in ten minutes", d, calls[d])
			}
		}
		for at, k := range second {
			if k > 3*n/60 {
				t.Errorf("%d calls in the second %d", k, at)
			}
		}
		mu.Unlock()
		h.stopped()
	})
}

// Very many services of domains do not begin all at once.
func TestManyServices(t *testing.T) {
	bubble(t, func(h *host) {
		list := make([]string, 10_000)
		for i := range list {
			list[i] = fmt.Sprint("wiki", i)
		}
		h.options.Domains = func() []string { return list }
		h.Add(service.Service{Name: "s", PerDomain: true, Run: wait})
		h.run()
		running := func() (n int) {
			for _, st := range h.States() {
				if st.Status == service.Running {
					n++
				}
			}
			return n
		}
		time.Sleep(time.Second)
		if n := running(); n < 500 || n > 2000 {
			t.Errorf("%d run after a second", n)
		}
		time.Sleep(9 * time.Second)
		if n := running(); n != len(list) {
			t.Errorf("%d run after ten seconds", n)
		}
		h.stopped()
		if n := running(); n != 0 {
			t.Errorf("%d run after the end", n)
		}
	})
}
