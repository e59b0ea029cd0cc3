package config_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// write puts a farm file into a directory of its own and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "farm.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, text string) *config.Farm {
	t.Helper()
	f, err := config.Load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const memory = "backends: {m: {kind: memory}}\n"

type job struct{ typ string }

func (j *job) Type() string                 { return j.typ }
func (j *job) Run(context.Context) error    { return nil }
func newJob(typ string) func() jobqueue.Job { return func() jobqueue.Job { return &job{typ} } }

func TestPolicyLayers(t *testing.T) {
	f := load(t, memory+`
default: {maxTries: 7, timeout: 2m, throttle: 5, dedupe: true, keep: 3d}
types:
  null: {maxTries: 1, atMostOnce: true}
  both: {maxTries: 9, throttle: 0, dedupe: false, atMostOnce: false, keep: forever, timeout: none}
  waits: {backoff: {first: 10s, most: 10s}, lease: 20s, claimTTL: 1h30m}
`)
	var reg jobqueue.Registry
	program := jobqueue.Policy{MaxTries: 4, Lease: time.Minute, Rate: 3, AtMostOnce: true, MaxSnooze: time.Hour}
	reg.Add(newJob("both"), program)
	reg.Add(newJob("program"), program)
	policy := f.Policy(&reg)
	for typ, want := range map[string]jobqueue.Policy{
		// The farm file's types over its default over the program over the defaults.
		"both": {MaxTries: 9, Timeout: jobqueue.NoLimit, Keep: jobqueue.NoLimit, Lease: time.Minute, MaxSnooze: time.Hour},
		// The default of the farm file goes before the program too.
		"program": {MaxTries: 7, Timeout: 2 * time.Minute, Rate: 5, Dedupe: true, Keep: 72 * time.Hour,
			Lease: time.Minute, AtMostOnce: true, MaxSnooze: time.Hour},
		"null":  {MaxTries: 1, AtMostOnce: true, Timeout: 2 * time.Minute, Rate: 5, Dedupe: true, Keep: 72 * time.Hour},
		"other": {MaxTries: 7, Timeout: 2 * time.Minute, Rate: 5, Dedupe: true, Keep: 72 * time.Hour},
		"waits": {MaxTries: 7, Timeout: 2 * time.Minute, Rate: 5, Dedupe: true, Keep: 72 * time.Hour,
			Lease: 20 * time.Second, ClaimTTL: 90 * time.Minute},
	} {
		got := policy(typ)
		if got.Backoff != nil {
			if typ != "waits" {
				t.Errorf("%s: there is a back-off", typ)
			} else if d := got.Backoff(9); d > 10*time.Second || d < 6*time.Second {
				t.Errorf("%s: back-off %v, want 10s less up to a third", typ, d)
			}
			got.Backoff = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("policy of %s (-want +got):\n%s", typ, diff)
		}
	}

	// The Spec goes before all of them, and what nobody says is the default.
	q, err := f.Open(t.Context(), &reg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := q.Push(t.Context(), jobqueue.Spec{Type: "both", MaxTries: 2}, jobqueue.Spec{Type: "both"}); err != nil {
		t.Fatal(err)
	}
	claims, err := q.Queue("both").Pop(t.Context(), 2)
	if err != nil || len(claims) != 2 || claims[0].MaxTries != 2 || claims[1].MaxTries != 9 {
		t.Errorf("Pop = %v, %v, want jobs of 2 and 9 tries", claims, err)
	}
	if p := q.Policy("both"); p.ClaimTTL != time.Hour {
		t.Errorf("claimTTL = %v, want the default 1h", p.ClaimTTL)
	}
}

func TestOpen(t *testing.T) {
	f := load(t, `
domains: [enwiki]
readOnly: moving
backends: {b: {kind: memory}, a: {kind: memory}}
default: {backend: b}
types:
  big: {backend: a}
  rare: {exclude: true}
  usual: {exclude: false}
`)
	var reg jobqueue.Registry
	q, err := f.Open(t.Context(), &reg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if len(q.Stores) != 2 || q.Stores[0].Name != "a" || q.Stores[1].Name != "b" {
		t.Fatalf("Stores = %v, want a and b", q.Stores)
	}
	a, b := q.Stores[0].Backend, q.Stores[1].Backend
	if q.Backend("big") != a || q.Backend("usual") != b || q.Backend("other") != b {
		t.Error("types are not in the backends that the file names")
	}
	if !q.Excluded("rare") || q.Excluded("usual") || q.Excluded("big") {
		t.Errorf("Exclude = %v, want rare", q.Exclude)
	}
	if q.ReadOnly != "moving" || q.Domain() != "enwiki" {
		t.Errorf("read-only %q, home %q, want moving and enwiki", q.ReadOnly, q.Domain())
	}
}

func TestAddHandlers(t *testing.T) {
	f := load(t, memory+`
types:
  mail: {handler: {exec: [bin/mail, -x, "$${HOME}"]}}
default: {handler: {exec: [true]}}
`)
	var reg jobqueue.Registry
	if err := f.AddHandlers(&reg); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mail"}, reg.Types()); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	if !reg.Has("anything") {
		t.Error("the default's handler is not the fallback")
	}

	var own jobqueue.Registry
	own.Add(newJob("mail"), jobqueue.Policy{})
	err := f.AddHandlers(&own)
	if err == nil || !strings.Contains(err.Error(), "types.mail.handler: this program has a handler") {
		t.Errorf("AddHandlers = %v, want that the program has a handler for mail", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("FARM_WIKI", "frwiki")
	t.Setenv("FARM_TRIES", "8")
	f := load(t, memory+`
domains: ["${FARM_WIKI}", "x${FARM_WIKI}y${FARM_WIKI}", "$${FARM_WIKI}", "$FARM_WIKI", 12e3, no]
types: {"${FARM_WIKI}": {maxTries: "${FARM_TRIES}"}}
`)
	want := []string{"$FARM_WIKI", "${FARM_WIKI}", "12e3", "frwiki", "no", "xfrwikiyfrwiki"}
	if diff := cmp.Diff(want, f.Domains()); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
	// Keys are left as they are.
	var reg jobqueue.Registry
	if n := f.Policy(&reg)("${FARM_WIKI}").MaxTries; n != 8 {
		t.Errorf("maxTries = %d, want 8", n)
	}
}
