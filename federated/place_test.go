package federated_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
	"github.com/wikifarm/jobqueue/queuememory"
)

// weighted returns partitions with memories.
func weighted(weights map[string]float64) (parts []federated.Partition) {
	for _, name := range []string{"alpha", "beta", "gamma", "delta", "epsilon"} {
		if w := weights[name]; w > 0 {
			parts = append(parts, federated.Partition{Name: name, Weight: w, Backend: queuememory.New()})
		}
	}
	return parts
}

// numbers of what is spread in these tests: so many that shares by chance are within 2 % by far.
const many = 200_000

// shares wants what is at each partition to be within 2 % of its weight.
func shares(t *testing.T, what string, at map[string]int, weights map[string]float64) {
	t.Helper()
	all, sum := 0, 0.0
	for name := range weights {
		all += at[name]
		sum += weights[name]
	}
	for name, w := range weights {
		if want := float64(all) * w / sum; math.Abs(float64(at[name])-want) > want*0.02 {
			t.Errorf("%s has %d %s of %d, want %.0f", name, at[name], what, all, want)
		}
	}
}

// Jobs, pushes and root keys are spread as the weights say.
func TestShares(t *testing.T) {
	for _, weights := range []map[string]float64{
		{"alpha": 1, "beta": 1, "gamma": 1},
		{"alpha": 1, "beta": 2, "gamma": 0.5, "delta": 4},
	} {
		b := open(t, weighted(weights), nil)
		jobs, pushes, roots := map[string]int{}, map[string]int{}, map[string]int{}
		r, id := record(0), uuid.UUID{6: 0x40, 8: 0x80}
		for n := range many {
			key := fmt.Sprint("key ", n)
			r.Digest = jobqueue.KeyDigest(key)
			jobs[b.Owner(&r)]++
			binary.BigEndian.PutUint32(id[10:], uint32(n))
			pushes[b.Taker(id, name.Domain)]++
			roots[b.Keeper(name, key)]++
		}
		// It is also where they go.
		c := &client{t, b}
		for n := range 100 {
			r, id := unique(n), uuid.New()
			if at := homes(c.push(r)); at[b.Owner(&r)] != 1 {
				t.Errorf("job %d went to %v, and belongs to %s", n, at, b.Owner(&r))
			}
			if at := homes(c.pushAs(id, record(n))); at[b.Taker(id, name.Domain)] != 1 {
				t.Errorf("push %v went to %v, and belongs to %s", id, at, b.Taker(id, name.Domain))
			}
		}
		shares(t, "deduplicated jobs", jobs, weights)
		shares(t, "pushes", pushes, weights)
		shares(t, "root keys", roots, weights)
	}
}

// A new partition takes over its share, and nothing else moves.
func TestAddPartition(t *testing.T) {
	before := map[string]float64{"alpha": 1, "beta": 2, "gamma": 1}
	after := map[string]float64{"alpha": 1, "beta": 2, "gamma": 1, "delta": 1}
	b1, b2 := open(t, weighted(before), nil), open(t, weighted(after), nil)
	moved := 0
	for n := range many {
		key := fmt.Sprint(n)
		old, now := b1.Keeper(name, key), b2.Keeper(name, key)
		if old == now {
			continue
		}
		if moved++; now != "delta" {
			t.Fatalf("a key moved from %s to %s", old, now)
		}
	}
	if want := many / 5.0; math.Abs(float64(moved)-want) > want*0.02 {
		t.Errorf("%d keys of %d moved, want %.0f", moved, many, want)
	}
}

// To find the owner of a job costs no memory.
func TestOwnerAllocates(t *testing.T) {
	b := open(t, weighted(map[string]float64{"alpha": 1, "beta": 2, "gamma": 3}), nil)
	r := unique(1)
	if n := testing.AllocsPerRun(1000, func() { b.Owner(&r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Where things go must not change from version to version, or what is in the stores would be in the wrong place.
func TestPlacesStay(t *testing.T) {
	b := open(t, weighted(map[string]float64{"alpha": 1, "beta": 2, "gamma": 3}), nil)
	var got []string
	for n := range 12 {
		r := unique(n)
		got = append(got, b.Owner(&r)[:1]+b.Keeper(name, fmt.Sprint(n))[:1])
	}
	if s := strings.Join(got, " "); s != places {
		t.Errorf("the places are %q, want %q", s, places)
	}
}

const places = "gg gb ab ba bb gg bb gg ba bg gg ag"

// The jobs of a section's domains go to its partitions, all others elsewhere.
func TestSections(t *testing.T) {
	parts := weighted(map[string]float64{"alpha": 1, "beta": 1, "gamma": 1})
	parts[2].Weight = 0
	b := open(t, parts, map[string]federated.Section{"big": {Weights: map[string]float64{"gamma": 1, "beta": 3}, Domains: []string{"enwiki"}}})
	c := &client{t, b}
	at := map[string]map[string]int{"enwiki": {}, "wiki": {}}
	for n := range 20_000 {
		for domain, at := range at {
			r := unique(n)
			r.Domain = domain
			for home, n := range homes(c.push(r)) {
				at[home] += n
			}
		}
	}
	for domain, want := range map[string]map[string]float64{"enwiki": {"beta": 3, "gamma": 1}, "wiki": {"alpha": 1, "beta": 1}} {
		if len(at[domain]) != 2 {
			t.Errorf("jobs of %s are at %v", domain, at[domain])
		}
		shares(t, "jobs of "+domain, at[domain], want)
	}
	claims, err := b.Pop(t.Context(), lease(), jobqueue.Want{Name: jobqueue.Name{Domain: "enwiki", Type: name.Type}, Max: 30_000})
	if err != nil || len(claims) != 20_000 {
		t.Errorf("Pop = %d claims, %v", len(claims), err)
	}
}

// Jobs are handed out of all partitions as their weights say, when all have plenty.
func TestPopShares(t *testing.T) {
	weights := map[string]float64{"alpha": 1, "beta": 2, "gamma": 3}
	b := open(t, weighted(weights), nil)
	c := &client{t, b}
	for range 120 {
		c.push(uniquesFrom(&next, 1000)...)
	}
	at := map[string]int{}
	for range 6000 {
		for home, n := range homes(idsOf(c.pop(5))) {
			at[home] += n
		}
	}
	all := 0
	for _, n := range at {
		all += n
	}
	for name, w := range weights {
		if want := float64(all) * w / 6; math.Abs(float64(at[name])-want) > want*0.1 {
			t.Errorf("%d jobs of %d come from %s, want about %.0f", at[name], all, name, want)
		}
	}
}

// What a dead runner holds at a partition that Pops nearly never ask is found as soon as anywhere.
func TestSweptWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := queuememory.New()
		c := &client{t, open(t, []federated.Partition{
			{Name: "idle", Weight: 1e-9, Backend: idle}, {Name: "busy", Weight: 1, Backend: queuememory.New()},
		}, nil)}
		pushed, err := idle.Push(t.Context(), uuid.New(), []jobqueue.Record{record(0)})
		if err != nil {
			t.Fatal(err)
		}
		c.push(uniques(100)...)
		l := lease()
		l.TTL = 3 * time.Second
		claims, err := c.b.Pop(t.Context(), l, jobqueue.Want{Name: name, ID: "idle:" + pushed[0].ID})
		if err != nil || len(claims) != 1 {
			t.Fatalf("Pop = %d claims, %v", len(claims), err)
		}
		for range 4 {
			<-time.After(1100 * time.Millisecond)
			c.pop(1)
		}
		counts, err := idle.Counts(t.Context(), name)
		if err != nil || counts[0].Ready != 1 {
			t.Errorf("Counts = %+v, %v, want the job ready again", counts, err)
		}
	})
}

// next is the number of the next job of uniquesFrom.
var next int

func uniquesFrom(n *int, count int) []jobqueue.Record {
	records := make([]jobqueue.Record, count)
	for i := range records {
		records[i] = unique(*n)
		*n++
	}
	return records
}

func TestInvalidOptions(t *testing.T) {
	m := queuememory.New()
	one := federated.Partition{Name: "a", Weight: 1, Backend: m}
	with := func(change func(*federated.Partition)) []federated.Partition {
		p := one
		change(&p)
		return []federated.Partition{p}
	}
	section := func(weights map[string]float64, domains ...string) map[string]federated.Section {
		return map[string]federated.Section{"s": {Weights: weights, Domains: domains}}
	}
	for _, test := range []struct {
		parts    []federated.Partition
		sections map[string]federated.Section
		want     string
	}{
		{nil, nil, "there must be 1 to 64 partitions, not 0"},
		{with(func(p *federated.Partition) { p.Name = "" }), nil, `the name "" of a partition must not be empty or have colons or spaces`},
		{with(func(p *federated.Partition) { p.Name = "a:b" }), nil, `the name "a:b" of a partition must not be empty or have colons or spaces`},
		{[]federated.Partition{one, one}, nil, "there are two partitions a"},
		{with(func(p *federated.Partition) { p.Weight = -1 }), nil, "partition a cannot have the weight -1"},
		{with(func(p *federated.Partition) { p.Weight = math.NaN() }), nil, "partition a cannot have the weight NaN"},
		{with(func(p *federated.Partition) { p.Weight = math.Inf(1) }), nil, "partition a cannot have the weight +Inf"},
		{with(func(p *federated.Partition) { p.Backend = nil }), nil, "partition a must have either a backend or a way to open it"},
		{with(func(p *federated.Partition) { p.NoPush = true }), nil, "no partition with a weight takes new jobs"},
		{with(func(p *federated.Partition) { p.Weight = 0 }), nil, "no partition with a weight takes new jobs"},
		{[]federated.Partition{one, {Name: "b", Backend: m}}, nil, "partition b has no weight and is in no section"},
		{[]federated.Partition{one}, section(map[string]float64{"b": 1}, "x"), "section s: there is no partition b"},
		{[]federated.Partition{one}, section(map[string]float64{"a": 0}, "x"), "section s: partition a cannot have the weight 0"},
		{[]federated.Partition{one}, section(nil, "x"), "section s has no partition that takes new jobs"},
		{[]federated.Partition{one}, section(map[string]float64{"a": 1}, "x", "x"), "section s: domain x is in another section already"},
	} {
		_, err := federated.New(t.Context(), test.parts, &federated.Options{Sections: test.sections})
		if !errors.Is(err, jobqueue.ErrInvalid) || err.Error() != "invalid: "+test.want {
			t.Errorf("New = %v, want invalid: %s", err, test.want)
		}
	}
}
