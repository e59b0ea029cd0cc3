package queuetest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

// TestAggregator tests that a form of [jobqueue.Aggregator] keeps its rules. It calls open for
// each rule, several at once; what open returns must be empty and keep a store of its own.
func TestAggregator(t *testing.T, open func(testing.TB) jobqueue.Aggregator) {
	for _, c := range []struct {
		name, rule string
		run        func(*watcher)
	}{
		{"notify", "Notify adds entries, and Ready yields each once", testHintAdded},
		{"types", "Ready yields the entries of the given types or, without types, all of them", testHintTypes},
		{"names", "any two different names are different entries", testHintNames},
		{"clear", "Clear deletes the entries that have the version that was seen, and no others", testHintCleared},
		{"newer", "a notification since an entry was seen wins over Clear", testHintNewer},
		{"again", "no version of a name comes twice, also after it was cleared", testHintAgain},
		{"age", "an entry that is there keeps its age, unless it is given one above zero", testHintAge},
		{"nothing", "calls without entries do nothing", testHintNothing},
		{"many", "there may be any number of entries", testHintMany},
		{"at once", "of a Clear and a Notify at once, the entry of the Notify stays", testHintAtOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&watcher{t, c.rule, open(t)})
		})
	}
}

// A watcher asks one aggregator.
type watcher struct {
	*testing.T
	rule string
	a    jobqueue.Aggregator
}

func (w *watcher) bad(format string, args ...any) {
	w.Helper()
	w.Fatalf("%s\nrule: %s", fmt.Sprintf(format, args...), w.rule)
}

func (w *watcher) notify(queues ...jobqueue.Backlog) {
	w.Helper()
	if err := w.a.Notify(w.Context(), queues...); err != nil {
		w.bad("Notify: %v", err)
	}
}

func (w *watcher) clear(seen ...jobqueue.Backlog) {
	w.Helper()
	if err := w.a.Clear(w.Context(), seen...); err != nil {
		w.bad("Clear: %v", err)
	}
}

// has checks which entries there are, and returns them sorted by domain and type.
func (w *watcher) has(types []string, want ...jobqueue.Name) []jobqueue.Backlog {
	w.Helper()
	var got []jobqueue.Backlog
	for q, err := range w.a.Ready(w.Context(), types...) {
		if err != nil {
			w.bad("Ready: %v", err)
		}
		got = append(got, q)
	}
	byName := func(a, b jobqueue.Name) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Type, b.Type))
	}
	slices.SortFunc(got, func(a, b jobqueue.Backlog) int { return byName(a.Name, b.Name) })
	slices.SortFunc(want, byName)
	var names []jobqueue.Name
	for _, q := range got {
		names = append(names, q.Name)
	}
	if !slices.Equal(names, want) {
		w.bad("Ready(%q) yields %d entries %.200v, not %d: %.200v", types, len(names), names, len(want), want)
	}
	return got
}

func hint(domain, typ string) jobqueue.Backlog {
	return jobqueue.Backlog{Name: jobqueue.Name{Domain: domain, Type: typ}}
}

func testHintAdded(w *watcher) {
	a, b := hint("en", "x"), hint("de", "x")
	w.has(nil)
	w.notify(a, b, a)
	w.notify(b)
	w.has(nil, a.Name, b.Name)
}

func testHintTypes(w *watcher) {
	a, b, c := hint("en", "x"), hint("en", "y"), hint("de", "z")
	w.notify(a, b, c)
	w.has([]string{"x"}, a.Name)
	w.has([]string{"x", "z"}, a.Name, c.Name)
	w.has([]string{"none"})
	w.has(nil, a.Name, b.Name, c.Name)
}

func testHintNames(w *watcher) {
	parts := []string{"a", "b", "a/b", "a:b", "b:a", "a b", "a%2Fb", "{a}", "{b}", "*", "[ab]", "ä", "a\"b", "1", "11"}
	var all []jobqueue.Name
	for _, domain := range parts {
		for _, typ := range parts {
			w.notify(hint(domain, typ))
			all = append(all, hint(domain, typ).Name)
		}
	}
	for _, q := range w.has(nil, all...) {
		if q.Name == all[0] {
			w.clear(q)
		}
	}
	w.has(nil, all[1:]...)
}

func testHintCleared(w *watcher) {
	a, b := hint("en", "x"), hint("de", "x")
	w.notify(a, b)
	seen := w.has(nil, a.Name, b.Name)
	other := seen[0]
	other.Version++
	w.clear(other, hint("fr", "x"))
	w.has(nil, a.Name, b.Name)
	w.clear(seen[0])
	w.has(nil, seen[1].Name)
	w.clear(seen...)
	w.has(nil)
}

func testHintNewer(w *watcher) {
	a := hint("en", "x")
	w.notify(a)
	seen := w.has(nil, a.Name)
	w.notify(a)
	w.clear(seen...)
	w.clear(w.has(nil, a.Name)...)
	w.has(nil)
}

func testHintAgain(w *watcher) {
	a, versions := hint("en", "x"), map[int64]bool{}
	for range 20 {
		w.notify(a)
		seen := w.has(nil, a.Name)
		if v := seen[0].Version; v == 0 || versions[v] {
			w.bad("version %d came again", v)
		}
		versions[seen[0].Version] = true
		w.clear(seen...)
	}
}

func testHintAge(w *watcher) {
	a := hint("en", "x")
	ages := func(least, most time.Duration) {
		w.Helper()
		if age := w.has(nil, a.Name)[0].Age; age < least || age > most {
			w.bad("the age is %v, not between %v and %v", age, least, most)
		}
	}
	w.notify(a)
	ages(0, time.Minute)
	a.Age = 2 * time.Hour
	w.notify(a)
	ages(2*time.Hour-time.Second, 2*time.Hour+time.Minute)
	a.Age = 0
	w.notify(a)
	ages(2*time.Hour-time.Second, 2*time.Hour+time.Minute)
	a.Age = time.Hour
	w.notify(a)
	ages(time.Hour-time.Second, time.Hour+time.Minute)
	w.clear(w.has(nil, a.Name)...)
	a.Age = 0
	w.notify(a)
	ages(0, time.Minute)
}

func testHintNothing(w *watcher) {
	w.notify()
	w.clear()
	w.has(nil)
}

func testHintMany(w *watcher) {
	var all []jobqueue.Backlog
	var names, some []jobqueue.Name
	for i := range 5000 {
		q := hint(fmt.Sprint("wiki", i), fmt.Sprint("type", i%3))
		all, names = append(all, q), append(names, q.Name)
		if i%3 == 1 {
			some = append(some, q.Name)
		}
	}
	w.notify(all...)
	seen := w.has(nil, names...)
	w.has([]string{"type1"}, some...)
	w.clear(seen...)
	w.has(nil)
}

func testHintAtOnce(w *watcher) {
	a := hint("en", "x")
	for range 50 {
		w.notify(a)
		seen := w.has(nil, a.Name)
		var wg sync.WaitGroup
		var cleared, notified error
		wg.Go(func() { cleared = w.a.Clear(w.Context(), seen...) })
		wg.Go(func() { notified = w.a.Notify(w.Context(), a) })
		wg.Wait()
		if cleared != nil || notified != nil {
			w.bad("Clear: %v, Notify: %v", cleared, notified)
		}
		w.has(nil, a.Name)
	}
}
