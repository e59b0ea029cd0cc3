package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue/config"
)

// Farm files have the same digest if they say the same, wherever they are.
func TestDigest(t *testing.T) {
	dir := t.TempDir()
	load := func(name, text string) *config.Farm {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		farm, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return farm
	}
	const text = "backends: {main: {kind: memory}}\n"
	a, again, other := load("a.yaml", text), load("again.yaml", text), load("other.yaml", text+"types: {x: {maxTries: 2}}\n")
	if a.Digest() != again.Digest() || a.Digest() == other.Digest() || len(a.Digest()) != 12 {
		t.Errorf("digests %q, %q and %q", a.Digest(), again.Digest(), other.Digest())
	}
	if d := config.SQLite("jobs.db").Digest(); d != "" {
		t.Errorf("without a file the digest is %q", d)
	}
}

// Types are those that the file names, wherever it does.
func TestTypes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "farm.yaml")
	const text = `
backends: {main: {kind: memory}}
types: {own: {maxTries: 2}, shared: {}}
events: {edit: [told, shared]}
groups:
  rest: {workers: 1, include: ["*"]}
  few: {workers: 1, include: [grouped, own]}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	farm, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"grouped", "own", "shared", "told"}, farm.Types()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
