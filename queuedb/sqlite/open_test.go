package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

func open(t testing.TB) *sqlite.Backend {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "jobs.db"))
}

func openFile(t testing.TB, path string) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}
