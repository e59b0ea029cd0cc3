package cli

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	mostTypes = 1000 // in the table
	mostIndex = 64   // bytes of a name in the index of a table
)

// A storeState says how much of a store is known.
type storeState int

const (
	storeUp storeState = iota + 1
	storeParted
	storeAway
	storeUnknown // it has not answered yet
)

// A view is what an agent tells.
type view struct {
	status severity
	text   string
	crew   *crew // nil: not known
	paused int   // queues; -1: not known
	away   int   // stores; -1: not known which there are
	stores []viewStore

	counted bool // all that follows is known
	sum     row
	age     time.Duration
	types   []row
	leftOut int // types
}

type viewStore struct {
	name  string
	state storeState
	text  string
	sum   row
	age   time.Duration
}

func (w *watched) view() *view {
	v := &view{status: unknown, text: "the stores are being read", paused: -1}
	if k := w.check.Last(); k.OK() {
		v.status, v.text = k.Value.verdict()
		if k.Value.looked {
			v.paused = k.Value.paused
		}
	} else if k.Err != nil {
		v.text = escape(inline(k.Err))
	}
	if c := w.crew.Last(); c.OK() && !c.Value.none {
		v.crew = &c.Value
	}
	v.counted = true
	types := map[string]*row{}
	for _, st := range w.stores {
		counts := st.counts.Last()
		seen := viewStore{name: jobqueue.EscapeName(st.Name), state: storeUp, age: time.Since(counts.At)}
		if counts.Err != nil {
			seen.text = escape(inline(counts.Err))
		}
		switch {
		case counts.Away() != nil:
			seen.state = storeAway
		case counts.Err != nil:
			seen.state = storeParted
		case counts.At.IsZero():
			seen.state = storeUnknown
		}
		if seen.state != storeUp {
			v.counted = false
			v.away++
		}
		for _, c := range counts.Value {
			r := row{Ready: c.Ready, Delayed: c.Delayed, Claimed: c.Claimed, Abandoned: c.Abandoned, Oldest: c.Age.Seconds()}
			seen.sum.add(r)
			if types[c.Type] == nil {
				types[c.Type] = &row{Type: c.Type}
			}
			types[c.Type].add(r)
		}
		v.sum.add(seen.sum)
		v.age = max(v.age, seen.age)
		if len(seen.name) <= mostIndex {
			v.stores = append(v.stores, seen)
		}
	}
	if !v.counted {
		return v
	}
	for _, t := range slices.SortedFunc(maps.Values(types), func(a, b *row) int { return cmp.Compare(a.Type, b.Type) }) {
		if len(t.Type) > mostIndex || len(v.types) == mostTypes {
			v.leftOut++
			continue
		}
		v.types = append(v.types, *t)
	}
	return v
}
