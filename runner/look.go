package runner

import (
	"errors"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A look is what is ready and may be run.
type look struct {
	ready     int  // queues
	throttled bool // some types were left out because they must wait
	faulty    bool // some types were left out because their handlers are at fault
	hope      bool // and one of these worked a moment ago
	vain      int  // queues that were found and cannot be run
	took      time.Duration
	named     bool // no store was asked: hints named the queues
}

// look asks the stores which queues are ready, or uses what they said a moment ago.
func (f *fetcher) look() (l look) {
	now := time.Now()
	told, vague := f.r.hints.take()
	if len(told) > 0 && f.believes(now, len(vague) > 0) {
		for s := range vague {
			f.r.told(s, nil)
		}
		if now.Sub(f.served) > readyTime || f.newcomer(told) {
			f.wanted()
		}
		f.learn(now, told, nil)
		l = f.seen(now)
		l.named = true
		return l
	}
	f.looked = now
	hinted := f.hint(now)
	var names []jobqueue.Name
	wanted, asked := false, map[*store]bool{}
	found := f.found()
	for _, s := range f.r.stores {
		if s.closed(now) {
			continue
		}
		if !hinted && (found[s] == 0 || now.Sub(s.looked) > readyTime) || vague[s] {
			if !wanted {
				wanted, names = true, f.wanted()
			}
			f.ask(s, names)
			asked[s] = true
		}
		l.vain += s.foreign
	}
	f.learn(now, told, asked)
	seen := f.seen(now)
	seen.vain += l.vain
	return seen
}

// believes reports whether what is named needs no look: none is due, or one takes long now. Without names
// for all hints one is due; an aggregator is always read, so that it hears which of its entries are wrong.
func (f *fetcher) believes(now time.Time, vague bool) bool {
	switch {
	case !f.r.o.Wait:
		return false
	case now.Before(f.hush):
		return true
	}
	return !vague && f.r.hints.aggregator == nil && now.Before(f.quiet)
}

// newcomer reports whether a queue is on a domain that is not known to be served.
func (f *fetcher) newcomer(told map[jobqueue.Name]struct{}) bool {
	for n := range told {
		if !f.here(n.Domain) {
			return true
		}
	}
	return false
}

// seen says what is known to be ready.
func (f *fetcher) seen(now time.Time) (l look) {
	broken := 0 // queues whose handler is not known to work
	for typ, n := range f.dealer.Ready() {
		t := f.types[typ]
		if t.store.closed(now) {
			continue
		}
		trouble, alone, hope := t.rest.state(now)
		switch {
		case alone:
			l.faulty, l.hope = true, l.hope || hope
			l.vain += n
			continue
		case !t.gate.closedUntil(now).IsZero():
			l.throttled = true
			l.vain += n
			continue
		case trouble && !hope:
			broken += n
		}
		l.ready += n
	}
	if broken > 0 && broken == l.ready && !l.hope && !f.r.o.Wait && f.r.pool.load().busy == 0 {
		// Nothing else is left: whether the run ends must not depend on how long it took to get here.
		l.ready, l.faulty = 0, true
	}
	l.took = time.Since(now)
	return l
}

// found returns how many queues of each store are known to be ready.
func (f *fetcher) found() map[*store]int {
	found := map[*store]int{}
	for typ, n := range f.dealer.Ready() {
		found[f.types[typ].store] += n
	}
	return found
}

// more reports whether any queue is known to be ready.
func (f *fetcher) more() bool {
	for _, n := range f.dealer.Ready() {
		if n > 0 {
			return true
		}
	}
	return false
}

// learn notes queues that are said to have got work, of stores that were not asked since. It
// reports whether there are any.
func (f *fetcher) learn(now time.Time, told map[jobqueue.Name]struct{}, asked map[*store]bool) (any bool) {
	f.account(now)
	for n := range told {
		if s := f.storeOf(n.Type); f.serves(n) && !asked[s] {
			f.jobType(s, n.Type)
			f.dealer.Add(now, s.index, n)
			any = true
		}
	}
	return any
}

// set replaces what is known to be ready in a store.
func (f *fetcher) set(s *store, ready []jobqueue.Backlog) {
	for i := range ready {
		f.jobType(s, ready[i].Type)
	}
	now := time.Now()
	f.account(now)
	f.dealer.Replace(now, s.index, ready)
}

// ask asks one store which of the wanted queues are ready.
func (f *fetcher) ask(s *store, names []jobqueue.Name) {
	if f.r.readOnly != nil {
		s.heard(f.r.readOnly)
		return
	}
	ctx, cancel := s.call()
	defer cancel()
	var ready []jobqueue.Backlog
	var missing error
	s.foreign = 0
	for b, err := range s.group.Ready(ctx, names...) {
		if _, partly := errors.AsType[*jobqueue.PartError](err); partly {
			missing = err
			continue
		}
		if err != nil {
			s.heard(err)
			return
		}
		if f.serves(b.Name) && f.r.group.Backend(b.Type) == s.backend {
			ready = append(ready, b)
		} else {
			s.foreign++
		}
	}
	s.partly(missing)
	f.set(s, ready)
	s.looked = time.Now()
	if s.err == nil || len(ready) == 0 {
		s.heard(nil)
	}
}

// hopeless returns why no store will ever let this program claim anything; nil if one may. One
// that refuses results is asked: what it keeps may have got a format that the program does not know.
func (f *fetcher) hopeless() error {
	for _, s := range f.r.stores {
		if s.settler.refuses.Swap(false) {
			f.ask(s, f.wanted())
		}
		if !final(s.err) {
			return nil
		}
	}
	return f.r.stores[0].err
}

// runs reports whether jobs of a type are to be run.
func (f *fetcher) runs(typ string) bool {
	if f.asked != nil {
		return f.asked[typ] && f.r.reg.Has(typ) && !f.limits.elsewhere(typ)
	}
	return f.r.reg.Has(typ) && !f.r.group.Excluded(typ) && f.limits.covers(typ)
}
