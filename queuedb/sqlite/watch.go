package sqlite

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// watchEvery is how often the file is looked at while somebody waits: often enough
// for a job to start within a tenth of a second, seldom enough to stay under a hundredth of a core.
const watchEvery = 50 * time.Millisecond

// watchOn is for how long it is after it was written to.
const watchOn = time.Second

// A watch tells when work may have arrived. Every job that becomes ready or
// is delayed gets a number, so it looks whether numbers were given out, and that only after a commit.
type watch struct {
	path   string
	commit chan struct{} // holds one: this process has committed

	mu      sync.Mutex
	conn    *conn
	version int64 // of the data, as this connection sees it
	last    int64 // number given out
	waiters []chan struct{}
	log     stamp
	looks   int // so many more though the log does not change
	runs    bool
	closed  bool
	ended   chan struct{} // of the goroutine that runs
}

func newWatch(path string) *watch {
	return &watch{path: path, commit: make(chan struct{}, 1)}
}

// wrote notes that this process has committed.
func (w *watch) wrote() {
	select {
	case w.commit <- struct{}{}:
	default:
	}
}

// Wait implements [jobqueue.Waiter]. It never names a queue.
func (b *Backend) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	woken, err := b.watch.add()
	if err != nil {
		return nil, err
	}
	select {
	case <-woken:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *watch) add() (<-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
	}
	if !w.runs {
		// What arrived while nobody waited is not for this waiter.
		if _, err := w.arrived(); err != nil {
			return nil, err
		}
		w.runs, w.ended = true, make(chan struct{})
		go w.loop()
	}
	c := make(chan struct{})
	w.waiters = append(w.waiters, c)
	return c, nil
}

func (w *watch) loop() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.commit:
		case <-tick.C:
			if !w.stirs() {
				continue
			}
		}
		if w.look() {
			return
		}
	}
}

// A stamp tells whether a file has been written to.
type stamp struct {
	at   time.Time
	size int64
}

// stirs reports whether the log was written to of late, which costs far less than to ask SQLite. A
// commit is written before others see it, and while the disk is slow long before.
func (w *watch) stirs() bool {
	info, err := os.Stat(w.path + "-wal")
	if err != nil {
		return true
	}
	if now := (stamp{info.ModTime(), info.Size()}); now != w.log {
		w.log, w.looks = now, int(watchOn/watchEvery)
	}
	w.looks = max(w.looks-1, -1)
	return w.looks >= 0
}

// look wakes everybody if work may have arrived, and reports whether nobody waits any more.
func (w *watch) look() (end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// On an error the waiters look for themselves, and report it.
	if arrived, err := w.arrived(); arrived || err != nil || w.closed {
		for _, c := range w.waiters {
			close(c)
		}
		w.waiters = nil
	}
	if len(w.waiters) == 0 {
		w.runs = false
		close(w.ended)
	}
	return !w.runs
}

// arrived reports whether numbers were given out since it was last called.
func (w *watch) arrived() (bool, error) {
	if w.conn == nil {
		c, err := dial(w.path, existing, "busy_timeout = 100", "query_only = 1")
		if err != nil {
			return false, err
		}
		w.conn = c
	}
	version, err := w.conn.value("pragma data_version")
	if err != nil || version == w.version {
		return false, classify(w.path, err)
	}
	last, err := w.conn.value("select last from meta")
	if err != nil {
		return false, classify(w.path, err)
	}
	arrived := last != w.last
	w.version, w.last = version, last
	return arrived, nil
}

func (w *watch) close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	runs := w.runs
	w.mu.Unlock()
	if runs {
		w.wrote()
		<-w.ended
	}
	if w.conn != nil {
		return w.conn.close()
	}
	return nil
}
