//go:build linux

package chaos_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A tale is a log as it might be written, in seconds; each of its methods adds what a process says.
type tale struct{ log []event }

func (l *tale) add(at int64, e event) {
	if e.End = at * 1e6; e.Begin == 0 {
		e.Begin = e.End - 1000
	}
	l.log = append(l.log, e)
}

func (l *tale) push(at int64, by, id, number, digest string, dup bool) {
	jobs := []jobEvent{{Number: number, Queue: "wiki/work", Digest: digest, ID: id, Dup: dup}}
	call := "push of " + number
	l.log = append(l.log, event{Kind: pushing, By: by, ID: call, Begin: at*1e6 - 2000, Jobs: []jobEvent{{Number: number, Queue: "wiki/work", Digest: digest}}})
	l.add(at, event{Kind: pushed, By: by, ID: call, Jobs: jobs})
}

func (l *tale) pop(at int64, by, id, number string) {
	token := by + "'s " + id
	l.log = append(l.log, event{Kind: popping, By: by, Token: token, Begin: at*1e6 - 2000})
	l.add(at, event{Kind: popped, By: by, Token: token, Claims: []claimEvent{
		{ID: id, Number: number, Token: token, Queue: "wiki/work", Fresh: true, Expires: (at + 10) * 1e6},
	}})
}

func (l *tale) run(at int64, by, id string) {
	l.log = append(l.log, event{Kind: started, By: by, ID: id, Token: by + "'s " + id, Begin: at * 1e6})
}

func (l *tale) extend(at int64, by, id string, lost bool) {
	l.add(at, event{Kind: extended, By: by, TTL: 10e6, Tokens: []tokenEvent{{Token: by + "'s " + id, Lost: lost}}})
}

func (l *tale) try(at int64, by, id string) {
	l.log = append(l.log, event{Kind: settling, By: by, Begin: at*1e6 - 2000, Outcomes: []outcomeEvent{{ID: id, Token: by + "'s " + id, Do: jobqueue.ActionDone}}})
}

func (l *tale) settle(at int64, by, id string, lost bool) {
	l.try(at, by, id)
	l.add(at, event{Kind: settled, By: by, Outcomes: []outcomeEvent{{ID: id, Token: by + "'s " + id, Do: jobqueue.ActionDone, Lost: lost}}})
}

// The checker finds each kind of broken promise, and nothing where none is broken.
func TestChecker(t *testing.T) {
	for name, c := range map[string]struct {
		tell func(l *tale)
		want string // part of what it finds
	}{
		"all is well": {func(l *tale) {
			l.push(1, "p", "1", "one", "key", false)
			l.push(2, "p", "1", "two", "key", true)
			l.pop(3, "a", "1", "one")
			l.push(4, "p", "2", "three", "key", false)
			l.run(4, "a", "1")
			l.extend(5, "a", "1", false)
			l.settle(14, "a", "1", false)
			l.pop(15, "a", "2", "three")
			l.try(16, "a", "2")
		}, ""},
		"a lease ends": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.run(3, "a", "1")
			l.pop(13, "b", "1", "one")
			l.run(14, "b", "1")
			l.settle(15, "a", "1", true)
			l.settle(16, "b", "1", false)
		}, ""},
		"lost": {func(l *tale) { l.push(1, "p", "1", "one", "", false) }, "is lost"},
		"lost by all who had it": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.settle(20, "a", "1", true)
		}, "is lost"},
		"again after it was settled": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.settle(3, "a", "1", false)
			l.pop(4, "b", "1", "one")
			l.settle(5, "b", "1", false)
		}, "settled for good"},
		"held by two": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.pop(9, "b", "1", "one")
			l.settle(10, "b", "1", false)
		}, "was held by a"},
		"held by two after it was extended": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.extend(11, "a", "1", false)
			l.pop(15, "b", "1", "one")
			l.settle(16, "b", "1", false)
		}, "was held by a"},
		"lost too soon": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.settle(5, "a", "1", true)
			l.pop(6, "b", "1", "one")
			l.settle(7, "b", "1", false)
		}, "before the end of its lease"},
		"extended when it was lost": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.extend(13, "a", "1", true)
			l.extend(14, "a", "1", false)
			l.pop(26, "b", "1", "one")
			l.settle(27, "b", "1", false)
		}, "holds no claim any more"},
		"run after its lease": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.run(13, "a", "1")
			l.settle(14, "a", "1", false)
		}, "after its lease"},
		"two answers": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.push(2, "p", "2", "one", "", false)
		}, "and again"},
		"a call that hangs": {func(l *tale) {
			l.add(100, event{Kind: other, What: "ready", Begin: 1})
		}, "for the answer"},
		"there twice": {func(l *tale) {
			l.push(1, "p", "1", "one", "", false)
			l.pop(2, "a", "1", "one")
			l.settle(3, "a", "1", false)
			l.pop(4, "a", "2", "one")
			l.settle(5, "a", "2", false)
		}, "is there 2 times"},
		"duplicates": {func(l *tale) {
			l.push(1, "p", "1", "one", "key", false)
			l.push(2, "p", "2", "two", "key", false)
			l.pop(3, "a", "1", "one")
			l.pop(4, "a", "2", "two")
			l.settle(5, "a", "1", false)
			l.settle(5, "a", "2", false)
		}, "both waited"},
		"dropped for one that runs": {func(l *tale) {
			l.push(1, "p", "1", "one", "key", false)
			l.pop(2, "a", "1", "one")
			l.push(3, "p", "1", "two", "key", true)
			l.settle(4, "a", "1", false)
		}, "was a duplicate of job 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var l tale
			c.tell(&l)
			found := newChecker(l.log, false).check(true)
			if c.want == "" && len(found) > 0 {
				t.Errorf("found %q, want nothing", found)
			}
			if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }) && c.want != "" {
				t.Errorf("found %q, want that it %s", found, c.want)
			}
		})
	}
}

// A seed stands for one schedule, which has troubles of all kinds, and none near a step of the clock.
func TestSchedule(t *testing.T) {
	c := cast{Processes: workerNames, Workers: workerNames, Servers: []string{"postgres0", "redis1"}}
	all := schedule(7, 10*time.Minute, c)
	if !reflect.DeepEqual(all, schedule(7, 10*time.Minute, c)) || reflect.DeepEqual(all, schedule(8, 10*time.Minute, c)) {
		t.Error("a seed does not stand for one schedule")
	}
	found := map[string]int{}
	clock, most := time.Duration(0), time.Duration(0)
	for i, x := range all {
		found[string(x.Kind)+" "+x.Toxic.Type]++
		clock += x.Step
		most = max(most, clock)
		for _, y := range all[:i] {
			if x.Kind == stepTime && y.Kind != stepTime && y.At+y.For+quietTime > x.At || y.Kind == stepTime && x.At < y.At {
				t.Errorf("%v is too near to %v", y, x)
			}
		}
	}
	if clock != most {
		t.Errorf("in the end the clock is at %v, it was at %v", clock, most)
	}
	if len(found) != 9 {
		t.Errorf("there are troubles %v, want all kinds", found)
	}
}
