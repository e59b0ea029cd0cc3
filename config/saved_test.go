package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// What was saved is the same farm, whatever becomes of the files.
func TestRestore(t *testing.T) {
	dir := t.TempDir()
	path, wikis := filepath.Join(dir, "farm.yaml"), filepath.Join(dir, "wikis")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(wikis, "dewiki\nenwiki\n")
	write(path, "domainsFile: wikis\nbackends: {main: {kind: memory}}\ntypes: {mail: {maxTries: 7}}\n")
	f, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	saved := f.Save()
	write(wikis, "frwiki\n")
	write(path, "backend: main\n")
	again, err := config.Restore(path, saved)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"frwiki"}, again.Domains()); diff != "" {
		t.Errorf("domains of a file that can be used (-want +got):\n%s", diff)
	}
	write(wikis, "")
	if again, err = config.Restore(path, saved); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dewiki", "enwiki"}, again.Domains()); diff != "" {
		t.Errorf("domains of one that cannot (-want +got):\n%s", diff)
	}
	if got := again.Policy(&jobqueue.Registry{})("mail").MaxTries; got != 7 || again.Digest() != f.Digest() {
		t.Errorf("%d tries, digest %s; want 7, %s", got, again.Digest(), f.Digest())
	}
	if _, err := config.Restore(path, saved[1:]); err == nil {
		t.Error("half of what was saved is a farm")
	}
}
