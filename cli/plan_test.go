package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue/cli"
)

// When a group gets more processes, those of others go on, unless they are to share the memory with more.
func TestProcessesThatAreAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "farm.yaml")
	names := func(processes int, flags ...string) (list []string) {
		t.Helper()
		text := fmt.Sprintf("backends: {main: {kind: memory}}\ngroups: {own: {workers: 9, processes: %d, include: [a]}, rest: {workers: 9, include: ['*']}}\n", processes)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		children, err := cli.Plan(path, flags...)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range children {
			list = append(list, c.Name)
			if want := fmt.Sprint("--siblings=", len(children)); !slices.Contains(c.Command().Args, want) {
				t.Errorf("%s has no %s", c.Name, want)
			}
		}
		return list
	}
	for flag, stay := range map[string]bool{"--soft-memory=90%": false, "--soft-memory=512M": true, "--grace=90s": true} {
		if diff := cmp.Diff(names(1, flag), names(1, flag)); diff != "" {
			t.Errorf("with %s the same file makes others:\n%s", flag, diff)
		}
		kept := 0
		before := names(1, flag)
		for _, name := range names(3, flag) {
			if slices.Contains(before, name) {
				kept++
			}
		}
		if want := map[bool]int{true: 2}[stay]; kept != want {
			t.Errorf("with %s %d processes go on, want %d", flag, kept, want)
		}
	}
}
