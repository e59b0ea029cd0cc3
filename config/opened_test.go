package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// What two farm files say the same of is one backend, closed with the last of those who use it.
func TestBeside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "farm.yaml")
	write := func(text string) *config.Farm {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	open := func(f *config.Farm, beside *config.Queues) *config.Queues {
		t.Helper()
		q, err := f.OpenBeside(&jobqueue.Registry{}, beside)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	push := func(q *config.Queues, typ string) error {
		_, err := q.Push(t.Context(), jobqueue.Spec{Type: typ})
		return err
	}
	ready := func(q *config.Queues, typ string) int {
		t.Helper()
		counts, err := q.Backend(typ).Counts(t.Context(), jobqueue.Name{Domain: q.Domain(), Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		return counts[0].Ready
	}
	const backends = "backends: {main: {kind: sqlite, path: a.db}, two: {kind: memory}, other: {kind: sqlite, path: b.db}, fed: {kind: federated, partitions: {m: 1}}, m: {kind: memory}}\n"
	one := open(write(backends+"default: {backend: main}\ntypes: {b: {backend: two}, c: {backend: other}, d: {backend: fed}}\n"), &config.Queues{})
	for _, typ := range []string{"a", "b", "c", "d"} {
		if err := push(one, typ); err != nil {
			t.Fatal(err)
		}
	}

	const changed = "backends: {main: {kind: sqlite, path: a.db}, two: {kind: memory}, other: {kind: sqlite, path: c.db}, fed: {kind: federated, partitions: {m: 2, n: 1}}, m: {kind: memory}, n: {kind: memory}}\n"
	two := open(write(changed+"default: {backend: main, maxTries: 7}\ntypes: {b: {backend: two}, c: {backend: other}, d: {backend: fed}}\n"), one)
	for typ, same := range map[string]bool{"a": true, "b": true, "c": false, "d": false} {
		if got := one.Backend(typ) == two.Backend(typ); got != same {
			t.Errorf("the backend of %s is the same: %t, want %t", typ, got, same)
		}
	}
	if got := two.Policy("a").MaxTries; got != 7 {
		t.Errorf("the newer group tries %d times, want 7", got)
	}
	if got := ready(two, "d"); got != 1 {
		t.Errorf("%d jobs in the partition in memory after its federation changed, want 1", got)
	}

	// The memory backend is away for a while.
	three := open(write("backends: {main: {kind: sqlite, path: a.db}}\n"), two)
	four := open(write(backends+"default: {backend: main}\ntypes: {b: {backend: two}}\n"), three)
	if got := ready(four, "b"); got != 1 {
		t.Errorf("%d jobs in memory after it was left out for a while, want 1", got)
	}

	for _, q := range []*config.Queues{one, three, two} {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if err := push(four, "a"); err != nil {
			t.Errorf("after others were closed: %v", err)
		}
	}
	if err := push(one, "c"); err == nil {
		t.Error("a backend that nobody has any more takes jobs")
	}
	if err := four.Close(); err != nil {
		t.Fatal(err)
	}
	if err := push(four, "a"); err == nil {
		t.Error("a backend takes jobs after the last of those who had it closed it")
	}
}
