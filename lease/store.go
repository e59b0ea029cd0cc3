package lease

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

// fresh is the record of a domain that is about to have its first run.
var fresh = []byte(`{"token":1}`)

const prefix = "lease/" // of the keys in a Control

// A Store keeps the leases of domains. It is safe for concurrent use.
type Store struct {
	Control jobqueue.Control
	Rules   Rules

	// Logger is told of records that had to be mended. Default [slog.Default].
	Logger *slog.Logger
}

// A Grant is the answer to [Store.Take].
type Grant struct {
	Place Place
	Token int64         // of the current holder, which is the caller if Place is Current
	Wait  time.Duration // OnDeck: until it should ask again; Refused: until there may be a place
	Asked time.Time     // when the call began, from which on a holder's signs of life count

	Crashed int64         // Current: the token of the run before, if that was taken over without an end; else 0
	Overdue time.Duration // OnDeck: how long beyond the interval the current holder has been at work; else 0
}

// Read returns the record of a domain as it is now; without one its Token is 0.
func (s *Store) Read(ctx context.Context, domain string) (Record, error) {
	v, err := s.value(ctx, domain)
	if err != nil {
		return Record{}, err
	}
	r, _, err := s.open(v)
	return r, err
}

// All returns the records of all domains that have been run within 30 days, as they are now.
func (s *Store) All(ctx context.Context) (map[string]Record, error) {
	values, err := s.Control.Values(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("leases: %w", err)
	}
	all := make(map[string]Record, len(values))
	for _, v := range values {
		_, domain, ok := strings.Cut(strings.TrimPrefix(v.Key, prefix), "/")
		if !ok || key(domain) != v.Key {
			continue
		}
		if all[domain], _, err = s.open(v); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// key returns where the record of a domain is kept. No key is the beginning of another.
func key(domain string) string { return prefix + strconv.Itoa(len(domain)) + "/" + domain }

// Take asks for a lease, and with onDeck for the place on deck if it is not to be had now. A party
// may ask again as often as it likes. It writes nothing if both places are taken. Who had a lease without knowing, as the
// answer was lost, begins when it asks again.
func (s *Store) Take(ctx context.Context, domain string, p Party, onDeck bool) (Grant, error) {
	return s.take(ctx, domain, p, ask{current: true, onDeck: onDeck})
}

// GoOnDeck asks for the place on deck alone. A lease that is to be had is Refused, with the Wait 0.
func (s *Store) GoOnDeck(ctx context.Context, domain string, p Party) (Grant, error) {
	return s.take(ctx, domain, p, ask{onDeck: true})
}

func (s *Store) take(ctx context.Context, domain string, p Party, a ask) (Grant, error) {
	if p.ID == "" || len(p.ID) > maxParty || len(p.Owner) > maxParty {
		return Grant{}, fmt.Errorf("%w: a party has an id, and no more than %d bytes of it and of its owner", jobqueue.ErrInvalid, maxParty)
	}
	u := s.Rules.WithDefaults()
	g := Grant{Asked: time.Now()}
	err := s.change(ctx, domain, func(r Record, version int64) (Record, error) {
		// Versions are never given twice, so a token is new even if the last record was lost.
		was := r
		r, g.Place = take(r, u, p, a, max(r.Token, version)+1)
		g.Token, g.Wait, g.Crashed, g.Overdue = r.Token, r.Wait(u), 0, 0
		if g.Place == Current && r.Token != was.Token && !was.Over && was.Current.ID != "" {
			g.Crashed = was.Token
		}
		if g.Place == OnDeck && r.Alive(u) {
			g.Overdue = max(0, -r.NotBefore)
		}
		switch g.Place {
		case Current:
			g.Wait = 0
		case Refused:
			if a.onDeck && g.Wait > 0 {
				g.Wait = r.Behind(u)
			}
		}
		return r, nil
	})
	return g, err
}

// Beat says that the holder of a token lives. The holder calls it a few times each TTL, and stops what it
// does when the error is an [ErrStale] or no call went well for two thirds of the TTL.
func (s *Store) Beat(ctx context.Context, domain string, token int64) error {
	return s.change(ctx, domain, func(r Record, _ int64) (Record, error) { return beat(r, token) })
}

// Check returns an [ErrStale] if the token's holder is not the current one any more. It writes nothing.
func (s *Store) Check(ctx context.Context, domain string, token int64) error {
	r, err := s.Read(ctx, domain)
	if err == nil {
		_, err = beat(r, token)
	}
	return err
}

// End says that the run of a token's holder has ended, how, and how long it took. The next may begin no sooner for it. It is an
// [ErrStale] if somebody else has taken over, or if it has ended before; then the history alone learns how long it took.
func (s *Store) End(ctx context.Context, domain string, token int64, outcome string, took time.Duration) error {
	outcome = strings.ToValidUTF8(outcome[:min(len(outcome), maxParty)], "")
	return s.change(ctx, domain, func(r Record, _ int64) (Record, error) { return end(r, token, outcome, took) })
}

// Leave gives up the place on deck, if the party has it.
func (s *Store) Leave(ctx context.Context, domain string, p Party) error {
	return s.change(ctx, domain, func(r Record, _ int64) (Record, error) { return leave(r, p), nil })
}

// Reset makes both places free at once, whoever has them. A holder that lives is fenced.
func (s *Store) Reset(ctx context.Context, domain string) error {
	return s.change(ctx, domain, func(r Record, version int64) (Record, error) {
		return reset(r, max(r.Token, version)+1), nil
	})
}

// change replaces the record of a domain by what f makes of it. It tries again when somebody else was faster.
func (s *Store) change(ctx context.Context, domain string, f func(r Record, version int64) (Record, error)) error {
	v, err := s.value(ctx, domain)
	for err == nil {
		read := time.Now()
		was, garbled, wrong := s.open(v)
		if wrong != nil {
			return wrong
		}
		is, refused := f(was, v.Version)
		if !garbled && reflect.DeepEqual(is, was) {
			return refused
		}
		if v.Version == 0 {
			// What was there before is forgotten. A version is new nevertheless, and so will be the token above it.
			if v, _, err = s.Control.SetValue(ctx, jobqueue.Value{Key: v.Key, Data: fresh, TTL: lifetime}); err == nil {
				continue
			}
			break
		}
		// What passed here is taken off, so that what is left of a wait only grows, by the way to the store.
		data, jsonErr := encode(shift(was, is, time.Since(read)))
		if jsonErr != nil {
			return jsonErr
		}
		var ok bool
		v, ok, err = s.Control.SetValue(ctx, jobqueue.Value{Key: v.Key, Data: data, Version: v.Version, TTL: lifetime})
		if ok || err == nil && bytes.Equal(v.Data, data) {
			return refused
		}
	}
	return err
}

// shift moves the times that is has from was, which were true d ago.
func shift(was, is Record, d time.Duration) Record {
	moved := is.after(d)
	for _, t := range []struct{ was, is, to *time.Duration }{
		{&was.Started, &is.Started, &moved.Started}, {&was.NotBefore, &is.NotBefore, &moved.NotBefore},
		{&was.Beat, &is.Beat, &moved.Beat}, {&was.Ended, &is.Ended, &moved.Ended}, {&was.NextExpires, &is.NextExpires, &moved.NextExpires},
	} {
		if *t.is != *t.was {
			*t.to = *t.is
		}
	}
	return moved
}

// value returns what the store has of a domain.
func (s *Store) value(ctx context.Context, domain string) (jobqueue.Value, error) {
	if err := (jobqueue.Name{Domain: domain, Type: "lease"}).Check(); err != nil {
		return jobqueue.Value{}, err
	}
	key := key(domain)
	values, err := s.Control.Values(ctx, key)
	if err != nil {
		return jobqueue.Value{}, fmt.Errorf("lease of %q: %w", domain, err)
	}
	for _, v := range values {
		if v.Key == key {
			return v, nil
		}
	}
	return jobqueue.Value{Key: key}, nil
}

// open returns the record in a value as it is now. One that cannot be read counts as a lease that
// somebody took this moment: nothing runs beside a holder that nobody knows.
func (s *Store) open(v jobqueue.Value) (r Record, garbled bool, err error) {
	if v.Version == 0 {
		return Record{}, false, nil
	}
	if r, err = decode(v.Data); err == nil {
		return r.after(v.Age), false, nil
	}
	log := s.Logger
	if log == nil {
		log = slog.Default()
	}
	log.Warn("a lease could not be read and counts as taken", "key", v.Key, "error", err)
	return Record{Token: v.Version + 1, Current: Party{ID: "unknown"}, NotBefore: s.Rules.WithDefaults().Interval}, true, nil
}
