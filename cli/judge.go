package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/internal/latest"
	"github.com/wikifarm/jobqueue/runner"
)

// lag is how much longer than its patience a read may take to say so.
const lag = 100 * time.Millisecond

// judge judges a farm as far as its stores answer in the time they have.
func (k *check) judge(ctx context.Context, w *watched) {
	reads := []<-chan struct{}{w.crew.Look(ctx), w.overruns.Look(ctx)}
	for _, st := range w.stores {
		reads = append(reads, st.ready.Look(ctx))
		if !k.noCount {
			reads = append(reads, st.counts.Look(ctx))
		}
	}
	latest.Wait(ctx, w.crew.Patience+lag, reads...)
	if c := w.crew.Last(); !c.OK() {
		k.unasked(w.control(), unread(c))
	} else {
		k.ready(w, c.Value)
		if !k.noCount {
			k.abandoned(ctx, w)
		}
	}
	k.overran(w)
	k.unasked("", k.room(w.s))
}

// unread returns why something is not known, or only in part; nil if it is.
func unread[T any](r latest.Reading[T]) error {
	if r.Err == nil && r.At.IsZero() {
		return context.DeadlineExceeded
	}
	return r.Err
}

// unasked notes what could not be asked, each once.
func (k *check) unasked(store string, err error) {
	if err == nil {
		return
	}
	prefix := ""
	if store != "" {
		prefix = "backend " + store + ": "
	}
	for _, line := range lines(err) {
		p := problem{unknown.String(), escape(prefix + strings.TrimPrefix(line, prefix)), unknown}
		if !slices.Contains(k.problems, p) {
			k.problems = append(k.problems, p)
		}
	}
}

// ready looks at the queues that have work.
func (k *check) ready(w *watched, c crew) {
	s, expect := w.s, !k.noRunners && !c.none
	var queues int
	var old, uncovered, astray []string
	var oldest time.Duration
	unhandled := map[string]bool{}
	k.looked = true
	for _, st := range w.stores {
		ready := st.ready.Last()
		if err := unread(ready); err != nil {
			k.unasked(st.Name, err)
			k.looked = false
			if ready.Part() == nil {
				continue
			}
		}
		for _, b := range ready.Value {
			queues++
			runs := func(p runner.Presence) bool { return p.Covers(b.Name) }
			handles := func(p runner.Presence) bool {
				p.AllDomains, p.Only = true, nil
				return p.Covers(b.Name)
			}
			switch {
			case slices.ContainsFunc(c.pauses, func(p jobqueue.Pause) bool { return p.Covers(b.Name) }):
				k.paused++
				continue
			case !s.farm.Enabled(b.Name):
				k.closed++
				continue
			case s.Backend(b.Type) != st.Backend:
				astray = append(astray, st.Name+":"+b.Name.String())
			case !s.reg.Has(b.Type) && !slices.ContainsFunc(c.runners, handles):
				unhandled[jobqueue.EscapeName(b.Type)] = true
			case expect && !slices.ContainsFunc(c.runners, runs):
				uncovered = append(uncovered, b.Name.String())
			}
			if oldest = max(oldest, b.Age); b.Age > k.maxAge {
				old = append(old, b.Name.String())
			}
		}
	}
	if len(old) > 0 {
		k.add(critical, "the oldest ready job has waited for %v, more than %v, in %s", oldest.Round(time.Second), k.maxAge, example(old))
	}
	if len(uncovered) > 0 {
		k.add(critical, "no live runner, of %d, runs %s", len(c.runners), example(uncovered))
	}
	if len(unhandled) > 0 {
		var types []string
		for t := range unhandled {
			types = append(types, t)
		}
		k.add(warning, "no handler for %s", example(types))
	}
	if len(astray) > 0 {
		k.add(warning, "jobs in a backend their type is not routed to: %s", example(astray))
	}
	k.idle(c, oldest)
	k.measure("oldest", "s", oldest.Seconds(), "", strconv.FormatFloat(k.maxAge.Seconds(), 'f', -1, 64))
	k.measure("queues", "", float64(queues), "", "")
	k.measure("paused", "", float64(k.paused), "", "")
	if s.farm.Restricted() {
		k.measure("not_enabled", "", float64(k.closed), "", "")
	}
	k.measure("runners", "", float64(len(c.runners)), "", "")
}

// idle looks at whether runners get anything done, the oldest ready job being so old.
func (k *check) idle(c crew, oldest time.Duration) {
	if c.none {
		return
	}
	if c.worked {
		k.measure("idle", "s", c.idle.Seconds(), "", "")
	}
	switch {
	case k.maxIdle == 0 || oldest <= k.maxIdle:
	case !c.worked:
		k.add(critical, "jobs have been ready for %v, and no runner ever got anything done", oldest.Round(time.Second))
	case c.idle > k.maxIdle:
		k.add(critical, "runners got nothing done for %v, with jobs ready", c.idle.Round(time.Second))
	}
}

// room looks at the disks of the stores, where that can be told.
func (k *check) room(s *session) error {
	return s.farm.Files(func(f config.File) error {
		free, ok := freeBytes(filepath.Dir(f.Path))
		if !ok {
			return nil
		}
		if free < uint64(k.minFree) {
			k.add(warning, "the disk of %s has %d MiB left, less than %d MiB", f.Name, free>>20, k.minFree>>20)
		}
		k.measure("free_"+f.Name, "B", float64(free), fmt.Sprintf("%d:", k.minFree), "")
		return nil
	})
}

// perfLabel makes of a name one of a measurement, which is in quotes and before an equals sign, behind the bar.
var perfLabel = strings.NewReplacer("'", "%27", "=", "%3D", "|", "%7C")

// measure adds to what is printed behind the bar.
func (k *check) measure(name, unit string, value float64, warn, crit string) {
	item := fmt.Sprintf("'%s'=%.0f%s", perfLabel.Replace(jobqueue.EscapeName(name)), value, unit)
	if warn != "" || crit != "" {
		item += ";" + warn + ";" + crit
	}
	k.perf = append(k.perf, item)
}

// example names the first of a list, and how many more there are.
func example(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}
