package schedule

import (
	"math"
	"slices"
)

// A Plan says what goes before what. The zero Plan treats all types and all domains alike.
type Plan struct {
	// Shares are the parts of the workers' time that the classes are sure of while they have
	// work, the most urgent class first; what they leave is shared in proportion. Only their
	// ratios count. Nil is a single class. One that is not more than 0 counts as a thousandth of the largest.
	Shares []float64

	// Class returns which class a type is in, an index of Shares; the nearest there is, if it is none.
	// It must always say the same of a type. Nil puts all types into the first.
	Class func(typ string) int

	// Weight returns how many times the share of others a domain gets: more than 0, else it counts
	// as 1. It must return soon. Nil is 1 for all.
	Weight func(domain string) float64
}

// classes returns the classes of the plan.
func (p *Plan) classes() []*class {
	shares := slices.Clone(p.Shares)
	if len(shares) == 0 {
		shares = []float64{1}
	}
	top := 0.0
	for _, s := range shares {
		if usable(s) {
			top = max(top, s)
		}
	}
	if top == 0 {
		top = 1
	}
	list := make([]*class, len(shares))
	for i, s := range shares {
		if s /= top; !usable(s) {
			s = 1e-3
		}
		list[i] = &class{index: i, share: s, flows: map[string]*flow{}}
	}
	return list
}

func (p *Plan) class(typ string, classes int) int {
	if p.Class == nil {
		return 0
	}
	return min(max(p.Class(typ), 0), classes-1)
}

func (p *Plan) weight(domain string) float64 {
	if p.Weight != nil {
		if w := p.Weight(domain); usable(w) {
			return w
		}
	}
	return 1
}

func usable(f float64) bool { return f > 0 && !math.IsInf(f, 1) }

// A Group is workers of their own for some of the types.
type Group struct {
	Name    string
	Workers int
	Include []string // types; "*" is every type
	Exclude []string // of these
	Low     []string // of those left, such as are less urgent than the others
}

// Covers reports whether the group's workers run a type.
func (g *Group) Covers(typ string) bool {
	in := slices.Contains(g.Include, typ) || slices.Contains(g.Include, "*")
	return in && !slices.Contains(g.Exclude, typ)
}
