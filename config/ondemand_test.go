package config_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
)

const onDemand = `
backends: {a: {kind: memory}, b: {kind: memory}}
default: {backend: a}
ondemand:
  store: b
  interval: 2s
  ttl: 5s
  keep: 100
  noDelay: true
  readOnly: moving
  logFile: all.log
  logFormat: json
  domains:
    off: {disable: true, readOnly: ""}
    own: {noDelay: false, logFile: own.log}
`

func TestOnDemand(t *testing.T) {
	f := load(t, onDemand)
	for domain, want := range map[string]ondemand.Switch{
		"any": {NoDelay: true, ReadOnly: "moving"},
		"off": {NoDelay: true, Disabled: true},
		"own": {ReadOnly: "moving"},
	} {
		if got := f.OnDemandSwitch(domain); got != want {
			t.Errorf("the switch of %s is %+v, want %+v", domain, got, want)
		}
	}
	for domain, want := range map[string]string{"any": "all.log", "own": "own.log"} {
		if l := f.OnDemandLog(domain); filepath.Base(l.Path) != want || !filepath.IsAbs(l.Path) || !l.JSON {
			t.Errorf("the log of %s is %+v, want %s beside the farm file, in JSON", domain, l, want)
		}
	}
	q, err := f.Open(t.Context(), &jobqueue.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	leases, err := f.Leases(q)
	if err != nil {
		t.Fatal(err)
	}
	if want := (lease.Rules{Interval: 2 * time.Second, TTL: 5 * time.Second, Keep: 100}); leases.Rules != want || leases.Control != q.Stores[1].Backend.(jobqueue.Control) {
		t.Errorf("the rules are %+v, want %+v, in %s", leases.Rules, want, q.Stores[1].Name)
	}
}

// What says nothing of runs on demand has the usual rules, in the store of the control values.
func TestOnDemandDefault(t *testing.T) {
	f := load(t, memory)
	q, err := f.Open(t.Context(), &jobqueue.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	leases, err := f.Leases(q)
	if err != nil || leases.Control != q.Control || leases.Rules != (lease.Rules{}) || f.OnDemandLog("d").Path != "" || f.OnDemandSwitch("d") != (ondemand.Switch{}) {
		t.Errorf("leases %+v, %v, log %+v, switch %+v", leases, err, f.OnDemandLog("d"), f.OnDemandSwitch("d"))
	}
	if s := load(t, "readOnly: all of it\n"+memory+"ondemand: {readOnly: a part}").OnDemandSwitch("d"); s.ReadOnly != "all of it" {
		t.Errorf("of a farm that is read-only the reason is %q", s.ReadOnly)
	}
}

// What the file says is followed within a second; a mistake leaves the last good one, and is told once.
func TestFollowOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "farm.yaml")
		var log bytes.Buffer
		put := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(memory+text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put("")
		f, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Logger = slog.New(slog.NewTextHandler(&log, nil))
		follow := f.FollowOnDemand()
		for _, step := range []struct {
			text     string
			disabled bool
			warnings int
		}{
			{"", false, 0},
			{"ondemand: {domains: {a: {disable: true}}}", true, 0},
			{"ondemand: {domains: {a: {disabel: false}}}", true, 1},
			{"ondemand: {domains: {a: {disabel: false}}}", true, 1},
			{"ondemand: {disable: false}", false, 1},
			{"ondemand: {disabel: true}", false, 2},
		} {
			put(step.text)
			time.Sleep(time.Second)
			if got := follow("a").Disabled; got != step.disabled {
				t.Errorf("with %q disabled is %v", step.text, got)
			}
			if n := strings.Count(log.String(), "the last good one stays"); n != step.warnings {
				t.Errorf("after %q there are %d warnings, want %d:\n%s", step.text, n, step.warnings, &log)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if follow("a") != (ondemand.Switch{}) || strings.Count(log.String(), "the last good one stays") != 3 {
			t.Errorf("without the file: %+v\n%s", follow("a"), &log)
		}
	})
}

func TestOnDemandMistakes(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"ondemand: {Store: x}", `unknown key "Store" of ondemand, write store`},
		{"ondemand: {no-delay: true}", `unknown key "no-delay" of ondemand, the keys are disable, domains, interval, keep, logFile, logFormat, noDelay, readOnly, store, ttl`},
		{"ondemand: {store: x}", `ondemand.store must be one of the backends, not "x"`},
		{"ondemand: {interval: 10}", `ondemand.interval must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, not "10"`},
		{"ondemand: {interval: 10ms}", "ondemand.interval must be 1s to 7d, not 10ms"},
		{"ondemand: {ttl: 8d}", "ondemand.ttl must be 1s to 7d, not 192h0m0s"},
		{"ondemand: {keep: 0}", `ondemand.keep must be a whole number, at least 1, not "0"`},
		{"ondemand: {keep: 1000}", "ondemand.keep must be at most 200, not 1000"},
		{"ondemand: {disable: off}", `ondemand.disable must be true or false, not "off"`},
		{"ondemand: {readOnly: true}", `ondemand.readOnly must be the reason why nothing may be written, or "" if it may, not "true"`},
		{"ondemand: {logFormat: xml}", `ondemand.logFormat must be text or json, not "xml"`},
		{"ondemand: {logFile: ''}", "ondemand.logFile is empty"},
		{"ondemand: {domains: {a: {interval: 3s}}}", `unknown key "interval" of ondemand.domains.a, the keys are disable, logFile, noDelay, readOnly`},
		{"ondemand: {domains: {a: {disable: x}}}", `ondemand.domains.a.disable must be true or false, not "x"`},
		{"ondemand: {domains: {b: {}}}\ndomains: [a]", `ondemand.domains: "b" must be one of the farm's domains, such as a`},
		{"ondemand: {domains: [a]}", "ondemand.domains must be a mapping, key: value"},
	} {
		path := filepath.Join(t.TempDir(), "farm.yaml")
		if err := os.WriteFile(path, []byte(memory+test.file), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(path)
		if want := path + ":2: " + test.want; err == nil || err.Error() != want {
			t.Errorf("%s\n%s", test.file, cmp.Diff(want, err.Error()))
		}
	}
	_, err := config.Load(write(t, federation("{q: 1}}")+"\nondemand: {store: q}"))
	if err == nil || !strings.Contains(err.Error(), "ondemand.store") {
		t.Errorf("a partition as the store of leases: %v", err)
	}
}
