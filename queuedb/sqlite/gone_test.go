package sqlite_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// fails wants every call to fail with an error that says why.
func fails(t *testing.T, b *sqlite.Backend, is error, says string) {
	t.Helper()
	_, pushed := b.Push(t.Context(), uuid.New(), records(1))
	_, popped := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, jobqueue.Want{Name: queue, Max: 1})
	_, counted := b.Counts(t.Context())
	for op, err := range map[string]error{"Push": pushed, "Pop": popped, "Counts": counted} {
		if !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s = %v, want %v: %s", op, err, is, says)
		}
	}
}

// A program that is too old for what its file has become leaves it alone.
func TestFormatMovesOn(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(1)...)
	execute(t, raw(t, path), "update meta set format = 1000, oldest = 999")
	fails(t, b, jobqueue.ErrInvalid, "needs a newer program, which knows format 999")
	execute(t, raw(t, path), "update meta set oldest = 1")
	if n := len(pop(t, b, 5)); n != 1 {
		t.Errorf("Pop returned %d jobs, want 1", n)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileRemoved(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(1)...)
	remove(t, path)
	b.Recheck()
	fails(t, b, jobqueue.ErrUnavailable, "has been removed")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a reader made the file anew: %v", err)
	}
}

func TestFileReplaced(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(1)...)
	remove(t, path)
	push(t, openFile(t, path, nil), records(2)...)
	b.Recheck()
	fails(t, b, jobqueue.ErrUnavailable, "has been replaced")
}

// The log stays small though somebody reads all the time.
func TestLogIsBounded(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, &sqlite.Options{Relaxed: true})
	push(t, b, records(1000)...)
	const pages = 50
	if err := b.LimitLog(pages); err != nil {
		t.Fatal(err)
	}
	reading, stop := make(chan struct{}, 3), make(chan struct{})
	var readers sync.WaitGroup
	for range cap(reading) {
		readers.Go(func() {
			for first := true; ; first = false {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := b.Counts(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if first {
					reading <- struct{}{}
				}
			}
		})
	}
	for range cap(reading) {
		<-reading
	}
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for range 1000 {
		push(t, b, records(20)...)
	}
	close(stop)
	readers.Wait()
	if n := size() / 4096; n > 40*pages {
		t.Errorf("the log has %d pages, want about %d", n, 4*pages)
	}
}

// When there is no room, the calls of a transaction run once more.
func TestFullIsTriedAgain(t *testing.T) {
	b := openFile(t, newFile(t), nil)
	runs := 0
	err := b.Write(t.Context(), func(tx queuedb.Tx) error {
		if runs++; runs > 1 {
			return nil
		}
		if err := sqlite.LimitPages(tx, 40); err != nil {
			return err
		}
		for n := int64(1); ; n++ {
			if err := tx.Exec("value_put", strings.Repeat("k", 1000)+strconv.FormatInt(n, 10), []byte("data"), n, n, nil); err != nil {
				return err
			}
		}
	})
	if err != nil || runs != 2 {
		t.Errorf("Write = %v after %d runs, want no error after 2", err, runs)
	}
}
