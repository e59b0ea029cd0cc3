//go:build linux

package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A trouble is one fault of a schedule.
type trouble struct {
	At, For time.Duration // since the beginning; how long
	Kind    troubleKind
	Target  string   // a process, a place, or the clock
	Places  []string // link troubles: to which places the process's links are, or all
	Toxic   toxic
	Step    time.Duration // of the clock
}

type troubleKind string

const (
	cutLink  troubleKind = "cut"
	snapLink troubleKind = "snap"
	poison   troubleKind = "toxic"
	killOne  troubleKind = "kill" // a process or a server, which starts again when it is over
	stopOne  troubleKind = "stop" // a process or a server, which then goes on
	slowOne  troubleKind = "slow" // a worker that is no process of its own: its calls wait
	stepTime troubleKind = "step" // the clock
)

func (t trouble) String() string {
	s := fmt.Sprintf("%v %s %s for %v", t.At.Round(time.Millisecond), t.Kind, t.Target, t.For.Round(time.Millisecond))
	switch t.Kind {
	case poison:
		s += ": " + t.Toxic.String()
	case stepTime:
		s = fmt.Sprintf("%v step of the clock by %v", t.At.Round(time.Millisecond), t.Step)
	}
	if len(t.Places) > 0 {
		s += " (links to " + strings.Join(t.Places, ", ") + ")"
	}
	return s
}

// A cast is what can be in trouble.
type cast struct {
	Processes []string // none for workers that are none
	Workers   []string // all of them
	Servers   []string // places that have one
}

const (
	spacing = 500 * time.Millisecond // between the beginnings of two troubles, about
	calm    = 300 * time.Millisecond // between two of the same target

	// quietTime is for how long nothing is in trouble before the clock steps.
	quietTime = lease + lease/2
)

// schedule returns what a seed stands for.
func schedule(seed uint64, length time.Duration, c cast) (all []trouble) {
	r := rand.New(rand.NewPCG(seed, 1))
	draw := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(r.Int64N(int64(most-least)))).Round(time.Millisecond)
	}
	free := map[string]time.Duration{} // when each target is over its last trouble
	stepped := time.Duration(0)        // when the clock was last
	var ahead, most time.Duration      // how far the clock is, and was
	quiet := func(at time.Duration) time.Duration {
		for _, over := range free {
			at = max(at, over+quietTime)
		}
		return at
	}
	for at := draw(0, spacing); at < length; at += draw(spacing/4, 2*spacing) {
		var t trouble
		switch n := r.IntN(13); {
		case n == 0 && at-stepped > 2*lease:
			// All else must be over, as every process is asked to take the step, and for more than a lease: one that was
			// given anew because a store was away is not given anew once more.
			at = quiet(at)
			t = trouble{Kind: stepTime, Target: "clock", Step: drawStep(r, ahead)}
			ahead += t.Step
			most = max(most, ahead)
			stepped = at
		case len(c.Processes) == 0:
			t = trouble{Kind: slowOne, Target: pick(r, c.Workers), For: draw(lease/4, 3*lease)}
		case n < 3:
			t = trouble{Kind: killOne, Target: pick(r, c.Processes), For: draw(0, 500*time.Millisecond)}
		case n < 5:
			t = trouble{Kind: stopOne, Target: pick(r, c.Processes), For: draw(lease/4, 3*lease)}
		case len(c.Servers) == 0:
			continue
		case n < 6:
			t = trouble{Kind: killOne, Target: pick(r, c.Servers), For: draw(0, 2*lease)}
		case n < 7:
			t = trouble{Kind: stopOne, Target: pick(r, c.Servers), For: draw(lease/4, 2*lease)}
		default:
			t = linkTrouble(r, draw, c)
		}
		t.At = at
		if at < free[t.Target]+calm || t.Kind != stepTime && at < free["clock"] {
			continue
		}
		free[t.Target] = at + t.For
		all = append(all, t)
	}
	if ahead < most {
		// What was put off by a clock that was ahead is due again.
		all = append(all, trouble{At: max(quiet(length), stepped+2*lease), Kind: stepTime, Target: "clock", Step: most - ahead})
	}
	return all
}

// drawStep draws a step of the clock that is ahead already. One forward is longer than half a lease, as
// shorter ones are not told apart from time that passes.
func drawStep(r *rand.Rand, ahead time.Duration) time.Duration {
	if ahead > 0 && r.IntN(2) == 0 {
		return -ahead
	}
	if r.IntN(4) == 0 {
		return -time.Duration(100+r.IntN(2000)) * time.Millisecond
	}
	return time.Duration(1100+r.IntN(20_000)) * time.Millisecond
}

// linkTrouble draws a trouble of the links of one process, or of all that lead to one server.
func linkTrouble(r *rand.Rand, draw func(least, most time.Duration) time.Duration, c cast) (t trouble) {
	t.Places = c.Servers
	if len(c.Servers) > 1 && r.IntN(2) == 0 {
		t.Places = []string{pick(r, c.Servers)}
	}
	if t.Target = pick(r, c.Processes); r.IntN(4) == 0 {
		t.Target, t.Places = pick(r, c.Servers), nil
	}
	t.For = draw(lease/20, 2*lease)
	stream := pick(r, []string{"upstream", "downstream"})
	switch r.IntN(6) {
	case 0:
		t.Kind = cutLink
	case 1:
		t.Kind = snapLink
	case 2:
		t.Kind, t.Toxic = poison, toxic{"latency", stream, "latency", int64(1 + r.IntN(600))}
	case 3:
		t.Kind, t.Toxic = poison, toxic{"timeout", stream, "timeout", 0} // half open
	case 4:
		// A reset in mid-answer, or in mid-question.
		t.Kind, t.Toxic = poison, toxic{"limit_data", stream, "bytes", int64(1) << r.IntN(13)}
	default:
		t.Kind, t.Toxic = poison, toxic{"reset_peer", stream, "timeout", int64(r.IntN(100))}
	}
	return t
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }
