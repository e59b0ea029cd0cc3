package ondemand

import (
	"log/slog"
	"sync"
)

// A tally adds up what is asked of domains, and has it done one after the other for each of them.
type tally struct {
	places chan struct{} // how many domains at once
	log    *slog.Logger

	mu     sync.Mutex
	asked  map[string]int // of the domains that are in work
	closed bool
	done   sync.WaitGroup
}

// most is how much may be asked of a domain while it is in work.
const most = 1000

func (t *tally) add(domain string, n int, do func(domain string, n int)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if t.asked == nil {
		t.asked = map[string]int{}
	}
	was, working := t.asked[domain]
	t.asked[domain] = min(n, most-was) + was
	if !working {
		t.done.Go(func() { t.work(domain, do) })
	}
}

func (t *tally) work(domain string, do func(domain string, n int)) {
	t.places <- struct{}{}
	defer func() { <-t.places }()
	for {
		t.mu.Lock()
		n := t.asked[domain]
		if n == 0 || t.closed {
			delete(t.asked, domain)
			t.mu.Unlock()
			return
		}
		t.asked[domain] = 0
		t.mu.Unlock()
		guard(t.log, func() { do(domain, n) })
	}
}

func (t *tally) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.done.Wait()
}
