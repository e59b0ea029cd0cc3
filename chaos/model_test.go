//go:build linux

package chaos_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/wikifarm/jobqueue"
)

// A queueState is one queue as the contract has it, while no lease ends and nothing is delayed.
type queueState struct {
	ready   []waiting
	claims  map[string]string   // the number of each claimed job, and the token that holds it
	settled map[string]bool     // number and token
	pushes  map[string][]string // what each push was answered
	tokens  map[string]bool     // of pops that claimed something, or might have
	key     string              // of all this
}

// A waiting job is a ready one. Its digest is "" once it was claimed.
type waiting struct{ number, digest string }

func (s *queueState) clone() *queueState {
	return &queueState{
		slices.Clone(s.ready), maps.Clone(s.claims), maps.Clone(s.settled), maps.Clone(s.pushes), maps.Clone(s.tokens), "",
	}
}

// seal works out the key. Maps are printed sorted.
func (s *queueState) seal() *queueState {
	s.key = fmt.Sprint(s.ready, s.claims, s.settled, s.pushes, s.tokens)
	return s
}

// What clients do, and what they are told. A nil answer is one that was lost.
type (
	pushOp struct {
		push string
		jobs []waiting
	}
	pushAnswer []string // of each job the number of the one that is in, after "=" if it was there before

	popOp struct {
		token string
		most  int
		alone bool // no other call overlaps it
	}
	popAnswer struct {
		numbers []string
		again   bool // it is a repeat, of which nothing is said of the order; known to the model alone
	}

	settleOp struct {
		number, token string
		do            jobqueue.Action
	}
	extendOp  struct{ token string }
	lostOr    bool // the answer of both: whether the claim is lost
	countOp   struct{}
	counted   struct{ ready, claimed int }
	requeueOp struct{ number string } // a claimed job
	requeued  int
)

// A contract says what holds of a pop that overlaps with other calls.
type contract bool

const (
	strict contract = false // it hands out the oldest jobs, as many as there are
	loose  contract = true  // it may pass over jobs that others have in hand just then, so hands out any, or fewer
)

// step returns what a queue may be after an operation that was answered so, and nothing if that cannot be.
func (c contract) step(s *queueState, op, answer any) (all []*queueState) {
	choices := [][]string{nil}
	if pop, ok := op.(popOp); ok && c == loose && !s.tokens[pop.token] {
		choices = s.choices(pop, answer)
	}
	for _, choice := range choices {
		next, want := s.apply(op, choice)
		if answer == nil || agree(want, answer) {
			all = append(all, next)
		}
	}
	if answer == nil {
		all = append(all, s) // It may not have happened.
	}
	return all
}

// choices returns what a pop may hand out under the loose contract.
func (s *queueState) choices(op popOp, answer any) (all [][]string) {
	if answer != nil {
		got := answer.(popAnswer).numbers
		if op.alone && len(got) != min(op.most, len(s.ready)) {
			return nil
		}
		return [][]string{append([]string{}, got...)}
	}
	all = [][]string{{}}
	for _, w := range s.ready {
		for _, some := range all {
			if len(some) < op.most {
				all = append(all, append(slices.Clone(some), w.number))
			}
		}
	}
	return all
}

// apply returns the queue after an operation, and how that is answered. A pop claims what is chosen or, if that is nil, the oldest jobs.
func (s *queueState) apply(op any, choice []string) (*queueState, any) {
	n := s.clone()
	var want any
	switch op := op.(type) {
	case pushOp:
		want = n.push(op)
	case popOp:
		want = n.pop(op, choice)
	case settleOp:
		want = n.settle(op)
	case extendOp:
		want = lostOr(!slices.Contains(slices.Collect(maps.Values(n.claims)), op.token))
	case countOp:
		want = counted{len(n.ready), len(n.claims)}
	case requeueOp:
		want = requeued(0)
		if _, claimed := n.claims[op.number]; claimed {
			delete(n.claims, op.number)
			n.ready = append(n.ready, waiting{op.number, ""})
			want = requeued(1)
		}
	}
	return n.seal(), want
}

// agree compares two answers, of which the second need not know whose duplicate a job is.
func agree(want, answer any) bool {
	if w, popped := want.(popAnswer); popped {
		got := answer.(popAnswer).numbers
		if w.again {
			got = slices.Sorted(slices.Values(got))
		}
		return slices.Equal(w.numbers, got)
	}
	w, pushed := want.(pushAnswer)
	a, _ := answer.(pushAnswer)
	if !pushed || len(w) != len(a) {
		return fmt.Sprint(want) == fmt.Sprint(answer)
	}
	for i := range w {
		if w[i] != a[i] && (a[i] != "="+unseen || w[i][0] != '=') {
			return false
		}
	}
	return true
}

func (s *queueState) push(op pushOp) pushAnswer {
	if a, again := s.pushes[op.push]; again {
		return a
	}
	var a pushAnswer
	for _, j := range op.jobs {
		twin := slices.IndexFunc(s.ready, func(w waiting) bool { return j.digest != "" && w.digest == j.digest })
		if twin >= 0 {
			a = append(a, "="+s.ready[twin].number)
			continue
		}
		s.ready = append(s.ready, j)
		a = append(a, j.number)
	}
	s.pushes[op.push] = a
	return a
}

// pop claims what is chosen or, if that is nil, the oldest jobs.
func (s *queueState) pop(op popOp, choice []string) popAnswer {
	if s.tokens[op.token] {
		a := popAnswer{again: true}
		for number, token := range s.claims {
			if token == op.token {
				a.numbers = append(a.numbers, number)
			}
		}
		slices.Sort(a.numbers)
		return a
	}
	if choice == nil {
		for _, w := range s.ready[:min(op.most, len(s.ready))] {
			choice = append(choice, w.number)
		}
	}
	var a popAnswer
	for _, number := range choice {
		if i := slices.IndexFunc(s.ready, func(w waiting) bool { return w.number == number }); i >= 0 {
			s.ready = slices.Delete(s.ready, i, i+1)
			s.claims[number] = op.token
			s.tokens[op.token] = true
			a.numbers = append(a.numbers, number)
		}
	}
	return a
}

func (s *queueState) settle(op settleOp) lostOr {
	if s.settled[op.number+op.token] {
		return false
	}
	if s.claims[op.number] != op.token {
		return true
	}
	delete(s.claims, op.number)
	s.settled[op.number+op.token] = true
	if op.do != jobqueue.ActionDone {
		s.ready = append(s.ready, waiting{op.number, ""})
	}
	return false
}

// model returns the queue for porcupine.
func (c contract) model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any {
			s := &queueState{nil, map[string]string{}, map[string]bool{}, map[string][]string{}, map[string]bool{}, ""}
			return []any{s.seal()}
		},
		Step: func(state, op, answer any) (all []any) {
			for _, s := range c.step(state.(*queueState), op, answer) {
				all = append(all, s)
			}
			return all
		},
		Equal: func(a, b any) bool { return a.(*queueState).key == b.(*queueState).key },
		Hash: func(s any) uint64 {
			h := fnv.New64a()
			h.Write([]byte(s.(*queueState).key))
			return h.Sum64()
		},
	}
	return m.ToModel()
}

// describe tells a history, for people.
func describe(history []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range history {
		end := fmt.Sprint(o.Return)
		if o.Output == nil {
			end = "?"
		}
		fmt.Fprintf(&b, "client %d, %d to %s: %T%+v = %v\n", o.ClientId, o.Call, end, o.Input, o.Input, o.Output)
	}
	return b.String()
}
