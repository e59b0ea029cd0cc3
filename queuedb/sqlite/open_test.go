package sqlite_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

func open(t testing.TB) *sqlite.Backend {
	t.Helper()
	return openFile(t, newFile(t), nil)
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "jobs.db") }

func openFile(t testing.TB, path string, o *sqlite.Options) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.Open(path, o)
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

// raw opens a file with nothing but SQLite.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.Exec(text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// Many may open a new file at once.
func TestOpenTogether(t *testing.T) {
	for range 20 {
		path := newFile(t)
		errs := make(chan error)
		const many = 12
		for range many {
			go func() {
				b, err := sqlite.Open(path, &sqlite.Options{Relaxed: true})
				if err == nil {
					_, err = b.Counts(t.Context())
					err = errors.Join(err, b.Close())
				}
				errs <- err
			}()
		}
		for range many {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
}
