package cli_test

import (
	"os"
	"strings"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// That it is not known what is paused is no lack of jobs, however many backends there are.
func TestNextJobDBPausesUnknown(t *testing.T) {
	t.Chdir(t.TempDir())
	const farm = "backends: {a: {kind: sqlite, path: a.db}, b: {kind: sqlite, path: b.db}}\ndefault: {backend: a}\ntypes: {x: {backend: b}}\n"
	if err := os.WriteFile("farm.yaml", []byte(farm), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := sqlite.Open("a.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	v := jobqueue.Value{Key: "pause/0//", Data: []byte("?"), Version: jobqueue.AnyVersion}
	if _, _, err := b.SetValue(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := execute(cli.NextJobDB(cli.App{}), strings.NewReader(""), "--config", "farm.yaml")
	if status != 3 || stdout != "" || !strings.Contains(stderr, "read what is paused") {
		t.Errorf("status %d, want 3\n%s%s", status, stdout, stderr)
	}
}
