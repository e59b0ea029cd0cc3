package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	followTime = time.Second      // between two looks at the domains
	healthy    = time.Minute      // after so long a failure is a first one
	spread     = time.Millisecond // between two of many that begin at once, on average
	mostSpread = 10 * time.Second
)

// Causes of the end of a service's context, for [context.Cause].
var (
	ErrGone      = errors.New("the domain is gone")         // it is none of the farm's any more
	ErrElsewhere = errors.New("another process may run it") // this one could not say that it goes on

	errGoexit = errors.New("the service called runtime.Goexit")
)

// Run runs the services until ctx ends, and then waits for them to end. The error names those that did not
// within Options.Grace. Run is called once.
func (s *Set) Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	s.begin(o)
	if o.Control == nil {
		s.loop(ctx)
		return s.end()
	}
	t, err := newTurns(s)
	if err != nil {
		return err
	}
	// What takes a while to end is not to begin elsewhere meanwhile.
	keep, enough := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		t.keep(keep)
	}()
	s.loop(ctx)
	err = s.end()
	enough()
	<-kept
	if err == nil {
		t.giveBack()
	}
	return err
}

// loop calls what is due until ctx ends.
func (s *Set) loop(ctx context.Context) {
	f := follower{s: s}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		next := f.follow(now)
		if due := s.start(ctx, now); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
		var alarm <-chan time.Time
		if !next.IsZero() {
			timer.Reset(time.Until(next))
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
		case <-s.poke:
		case <-alarm:
		}
	}
}

// begin makes what is there from the beginning.
func (s *Set) begin(o Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poke != nil {
		panic("service: Run is called twice")
	}
	s.o, s.poke, s.units, s.held, s.turned = o, make(chan struct{}, 1), map[key]*unit{}, map[string]bool{}, true
	s.failures = map[string]int{}
	for _, v := range s.services {
		s.held[v.Name] = v.EachProcess || o.Control == nil
	}
}

func (s *Set) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// add makes a unit that begins within a while; the set is locked.
func (s *Set) add(v *Service, domain string, now time.Time, within time.Duration) {
	u := &unit{service: v, domain: domain, since: now, place: -1}
	if v.Every > 0 {
		within = v.Every
	}
	u.due = now.Add(rand.N(max(within, 1)))
	u.grid = u.due
	s.units[key{v, domain}] = u
	s.due.put(u)
}

// A follower knows which domains the set has.
type follower struct {
	s      *Set
	next   time.Time
	list   []string
	warned bool
}

// follow adds and removes what is for each domain, and of services that come to this process or leave it. It returns when to
// look again; never if no service is for each domain.
func (f *follower) follow(now time.Time) time.Time {
	s := f.s
	changed := f.look(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !changed && !s.turned {
		return f.next
	}
	s.turned = false
	here := make(map[string]bool, len(f.list))
	for _, d := range f.list {
		here[d] = true
	}
	whole := map[string]bool{"": true}
	wanted := func(v *Service) map[string]bool {
		switch {
		case !s.held[v.Name]:
			return nil
		case v.PerDomain:
			return here
		}
		return whole
	}
	for k, u := range s.units {
		if !wanted(k.service)[k.domain] {
			s.remove(u, s.held[k.service.Name])
		}
	}
	for _, v := range s.services {
		domains := wanted(v)
		within := min(time.Duration(len(domains)-1)*spread, mostSpread)
		for d := range domains {
			if u := s.units[key{v, d}]; u == nil {
				s.add(v, d, now, within)
			} else {
				u.back = u.gone
			}
		}
	}
	return f.next
}

// look asks for the domains now and then, if any service is for each, and reports whether they have changed.
func (f *follower) look(now time.Time) bool {
	s := f.s
	i := slices.IndexFunc(s.services, func(v *Service) bool { return v.PerDomain })
	if i < 0 || now.Before(f.next) {
		return false
	}
	f.next = now.Add(followTime)
	var list []string
	if s.o.Domains != nil {
		list = s.o.Domains()
	}
	if list == nil && !f.warned {
		f.warned = true
		s.o.Logger.Warn("a service is for each domain, and nothing says which there are", "service", s.services[i].Name)
	}
	if same(list, f.list) {
		return false
	}
	f.list = list
	return true
}

// same reports whether two lists are one.
func same(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// remove ends what is for a domain that is gone or, if it is not ours any more, in another process; the set is locked.
func (s *Set) remove(u *unit, ours bool) {
	u.back = false
	if u.cancel != nil {
		u.gone = true
		cause := ErrElsewhere
		if ours {
			cause = ErrGone
		}
		u.cancel(cause)
		return
	}
	s.due.remove(u)
	delete(s.units, key{u.service, u.domain})
}

// start calls what is due, and returns when the next is.
func (s *Set) start(ctx context.Context, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.due) > 0 {
		u := s.due[0]
		if u.due.After(now) {
			return u.due
		}
		s.due.remove(u)
		own, cancel := context.WithCancelCause(ctx)
		u.ctx, u.cancel, u.since = own, cancel, now
		u.calls++
		s.running++
		go s.run(own, u)
	}
	return time.Time{}
}

// run calls a service once.
func (s *Set) run(ctx context.Context, u *unit) {
	err := errGoexit
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
		s.ended(ctx, u, err)
	}()
	err = u.service.Run(ctx, u.domain)
}

// ended decides what becomes of a service that has returned.
func (s *Set) ended(ctx context.Context, u *unit, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, over := time.Now(), ctx.Err() != nil
	u.cancel(nil)
	u.cancel = nil
	s.running--
	switch {
	case u.gone && !u.back:
		delete(s.units, key{u.service, u.domain})
	case u.gone:
		delete(s.units, key{u.service, u.domain})
		s.add(u.service, u.domain, now, 0)
	case over:
		u.since, u.over = now, true
	default:
		s.again(u, err, now)
	}
	s.wake()
}

// again says when a service is called again; the set is locked.
func (s *Set) again(u *unit, err error, now time.Time) {
	if now.Sub(u.since) >= healthy || err == nil {
		u.row, u.told = 0, ""
	}
	u.since = now
	if err != nil {
		u.row++
		u.failures++
		s.failures[u.service.Name]++
		u.err, u.failedAt = err.Error(), now
	}
	switch every := u.service.Every; {
	case every > 0:
		missed := now.Sub(u.grid) / every
		u.grid = u.grid.Add((missed + 1) * every)
		u.due = u.grid.Add(rand.N(every/10 + 1))
	case err == nil:
		u.over = true
		return
	default:
		u.due = now.Add(backoff(u.row))
	}
	s.due.put(u)
	if err != nil && u.told != u.err {
		u.told = u.err
		s.o.Logger.Error("service failed", "service", u.service.Name, "domain", jobqueue.EscapeName(u.domain),
			"again", u.due.Sub(now).Round(time.Millisecond), "error", printable(u.err))
	}
}

var backoff = jobqueue.ExponentialBackoff(time.Second, healthy)

// end waits for what runs.
func (s *Set) end() error {
	grace := time.NewTimer(s.o.Grace)
	defer grace.Stop()
	for {
		s.mu.Lock()
		left := s.running
		s.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-s.poke:
		case <-grace.C:
			return s.stuck()
		}
	}
}

func (s *Set) stuck() error {
	var names []string
	for _, st := range s.States() {
		if st.Status == Ending {
			names = append(names, strings.TrimSuffix(st.Name+" on "+jobqueue.EscapeName(st.Domain), " on "))
		}
	}
	if len(names) == 0 {
		return nil
	}
	more := ""
	if n := len(names) - 3; n > 0 {
		names, more = names[:3], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("services ignore the end of their context: %s%s", strings.Join(names, ", "), more)
}

// Failures returns how often calls of each service have failed in this process, those for domains that are gone, too.
func (s *Set) Failures() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]int, len(s.services))
	for _, v := range s.services {
		all[v.Name] = s.failures[v.Name]
	}
	return all
}

// States returns where the services stand, sorted by name and domain. Before Run there are none.
func (s *Set) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]State, 0, len(s.units))
	for _, u := range s.units {
		all = append(all, u.state())
	}
	for _, v := range s.services {
		if s.poke != nil && !s.held[v.Name] {
			all = append(all, State{Name: v.Name, Status: Elsewhere})
		}
	}
	slices.SortFunc(all, func(a, b State) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Domain, b.Domain))
	})
	return all
}
