package federated

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/wikifarm/jobqueue"
)

// A section is the partitions that the jobs of some domains go to.
type section struct {
	members []member
	even    bool // all have the same weight
}

func (s *section) add(p *partition, weight float64) {
	s.even = len(s.members) == 0 || s.even && s.members[0].weight == weight
	s.members = append(s.members, member{p, weight})
}

// A member is a partition of a section, and its weight there.
type member struct {
	*partition
	weight float64
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{jobqueue.ErrInvalid}, args...)...)
}

// plan checks the partitions and sections and finds out who takes what.
func (b *Backend) plan(partitions []Partition, sections map[string]Section) error {
	if len(partitions) == 0 || len(partitions) > MaxPartitions {
		return invalid("there must be 1 to %d partitions, not %d", MaxPartitions, len(partitions))
	}
	for i, o := range partitions {
		if err := b.add(i, o); err != nil {
			return err
		}
	}
	b.sorted = slices.SortedFunc(slices.Values(b.parts), func(x, y *partition) int { return cmp.Compare(x.name, y.name) })
	for _, p := range b.parts {
		if p.weight > 0 && !p.noPush {
			b.usual.add(p, p.weight)
		}
	}
	if len(b.usual.members) == 0 {
		return invalid("no partition with a weight takes new jobs")
	}
	b.sections = map[string]*section{}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if err := b.addSection(name, sections[name]); err != nil {
			return err
		}
	}
	for _, p := range b.parts {
		if p.weight == 0 {
			return invalid("partition %s has no weight and is in no section", p.name)
		}
	}
	return nil
}

func (b *Backend) add(i int, o Partition) error {
	switch {
	case o.Name == "" || strings.ContainsAny(o.Name, ": \t\r\n"):
		return invalid("the name %q of a partition must not be empty or have colons or spaces", o.Name)
	case b.byName[o.Name] != nil:
		return invalid("there are two partitions %s", o.Name)
	case o.Weight < 0 || math.IsNaN(o.Weight) || math.IsInf(o.Weight, 0):
		return invalid("partition %s cannot have the weight %v", o.Name, o.Weight)
	case (o.Backend == nil) == (o.Open == nil):
		return invalid("partition %s must have either a backend or a way to open it", o.Name)
	}
	p := &partition{
		f: b, place: i, name: o.Name, prefix: o.Name + ":", tag: tagOf(o.Name), seed: xxhash.Sum64String(o.Name),
		weight: o.Weight, noPush: o.NoPush, backend: o.Backend, opens: o.Open,
	}
	if other := b.byTag[p.tag]; other != nil {
		return invalid("the names %s and %s of partitions cannot be told apart in tokens, one must be another", other.name, p.name)
	}
	p.swept.Store(math.MinInt64 / 2)
	b.parts, b.byName[p.name], b.byTag[p.tag] = append(b.parts, p), p, p
	return nil
}

func (b *Backend) addSection(name string, o Section) error {
	s := &section{}
	for _, part := range slices.Sorted(maps.Keys(o.Weights)) {
		p, weight := b.byName[part], o.Weights[part]
		switch {
		case p == nil:
			return invalid("section %s: there is no partition %s", name, part)
		case !(weight > 0) || math.IsInf(weight, 0):
			return invalid("section %s: partition %s cannot have the weight %v", name, part, weight)
		case p.weight == 0:
			p.weight = weight
		}
		if !p.noPush {
			s.add(p, weight)
		}
	}
	if len(s.members) == 0 {
		return invalid("section %s has no partition that takes new jobs", name)
	}
	for _, d := range o.Domains {
		if b.sections[d] != nil {
			return invalid("section %s: domain %s is in another section already", name, d)
		}
		b.sections[d] = s
	}
	return nil
}
