package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

func TestPlan(t *testing.T) {
	f := load(t, memory+`
classes: {urgent: 60, normal: 30, low: 10}
weights: {enwiki: 5, dewiki: 0.5}
default: {class: normal}
types:
  mail: {class: urgent}
  links: {class: low}
  null: {}
`)
	p := f.Plan()
	if diff := cmp.Diff([]float64{60, 30, 10}, p.Shares); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	for typ, want := range map[string]int{"mail": 0, "null": 1, "other": 1, "links": 2} {
		if got := p.Class(typ); got != want {
			t.Errorf("class of %s = %d, want %d", typ, got, want)
		}
	}
	if en, de := p.Weight("enwiki"), p.Weight("dewiki"); en != 5 || de != 0.5 {
		t.Errorf("weights are %v and %v", en, de)
	}
	if f.Groups() != nil || f.Group("mail") != nil {
		t.Errorf("groups are %v", f.Groups())
	}
}

func TestProcesses(t *testing.T) {
	f := load(t, memory+"groups: {a: {workers: 4, processes: 3, include: [x]}, b: {workers: 1, include: ['*']}}")
	if a, b := f.Processes("a"), f.Processes("b"); a != 3 || b != 0 {
		t.Errorf("processes are %d and %d, want 3 and none of its own", a, b)
	}
}

// Without a class of default, types without one are in the most urgent.
func TestPlanWithoutDefault(t *testing.T) {
	p := load(t, memory+"classes: {a: 1, b: 1}\ntypes: {x: {class: b}}").Plan()
	if p.Class("x") != 1 || p.Class("y") != 0 || p.Weight != nil {
		t.Errorf("class of x is %d, of y %d; weight %p", p.Class("x"), p.Class("y"), p.Weight)
	}
	p = load(t, memory).Plan()
	if p.Shares != nil || p.Class != nil || p.Weight != nil {
		t.Errorf("the plan of a farm that says nothing is %+v", p)
	}
}

func TestGroups(t *testing.T) {
	f := load(t, memory+`
groups:
  video: {workers: 2, include: [transcode]}
  basic: {workers: 19, include: ["*"], exclude: [transcode], lowPriority: [links]}
types:
  transcode: {}
`)
	want := []schedule.Group{
		{Name: "video", Workers: 2, Include: []string{"transcode"}},
		{Name: "basic", Workers: 19, Include: []string{"*"}, Exclude: []string{"transcode"}, Low: []string{"links"}},
	}
	if diff := cmp.Diff(want, f.Groups()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	for typ, name := range map[string]string{"transcode": "video", "links": "basic", "anything": "basic"} {
		if g := f.Group(typ); g == nil || g.Name != name {
			t.Errorf("the group of %s is %v, want %s", typ, g, name)
		}
	}
}

func TestShare(t *testing.T) {
	f := load(t, memory+`
classes: {urgent: 60, normal: 30, low: 10}
reserved: {normal: 2}
caps: {perDomain: 20, domains: {enwiki: 50}, types: {transcode: 4}}
groups: {all: {workers: 30, include: ["*"]}}
`)
	var o runner.Options
	f.Share(&o)
	if diff := cmp.Diff([]int{0, 2, 0}, o.Reserved); diff != "" {
		t.Errorf("reserved (-want +got):\n%s", diff)
	}
	want := runner.Caps{Types: map[string]int{"transcode": 4}, Domains: map[string]int{"enwiki": 50}, Domain: 20}
	if diff := cmp.Diff(want, o.Caps); diff != "" {
		t.Errorf("caps (-want +got):\n%s", diff)
	}
	if len(o.Plan.Shares) != 3 || len(o.Groups) != 1 {
		t.Errorf("shares are %v, groups %v", o.Plan.Shares, o.Groups)
	}
}
