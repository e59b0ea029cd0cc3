package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// Bounds of one transaction, so that nobody waits long for it.
const (
	groupMost = 64
	groupTime = 20 * time.Millisecond
)

// walPages is from how many pages in the write-ahead log on they are moved to the file.
const walPages = 4000

// Once the log has grown to four times walPages, a process waits for readers,
// and not again for a while if it did so in vain.
const (
	shrinkPatience = time.Second
	shrinkPause    = 5 * time.Second
)

var (
	errClosed = errors.New("backend is closed")
	errIdle   = errors.New("no call waits any more")
	errGone   = errors.New("caller has gone")
)

// A call is one Write that waits for its turn.
type call struct {
	fn   func(queuedb.Tx) error
	err  error
	done chan struct{}
}

// A writer runs the writes of this process: all that wait go into one
// transaction and are answered after its commit.
type writer struct {
	path   string
	file   *file
	gate   *sync.RWMutex // of this process's reads
	turn   *turn
	conn   *conn
	wrote  func() // called after a commit
	wake   chan struct{}
	closed chan struct{}
	ended  chan struct{}

	mu     sync.Mutex
	urgent []*call
	normal []*call
	left   map[*call]struct{} // calls that run and whose callers have gone

	patience time.Duration

	full     bool      // there was no room for something in the transaction
	repeated bool      // the transaction is the second try after there was no room
	retry    time.Time // when the log may be made to shrink again

	walPages  int64
	groupTime time.Duration
}

func newWriter(f *file, gate *sync.RWMutex, c *conn, t *turn, wrote func()) *writer {
	w := &writer{
		path: f.path, file: f, gate: gate, turn: t, conn: c, wrote: wrote,
		wake: make(chan struct{}, 1), closed: make(chan struct{}), ended: make(chan struct{}),
		left: map[*call]struct{}{}, walPages: walPages, patience: lockPatience, groupTime: groupTime,
	}
	go w.loop()
	return w
}

// write puts a call in line and waits for its answer.
func (w *writer) write(ctx context.Context, urgent bool, fn func(queuedb.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return gone(ctx)
	}
	c := &call{fn: fn, done: make(chan struct{})}
	w.mu.Lock()
	if urgent {
		w.urgent = append(w.urgent, c)
	} else {
		w.normal = append(w.normal, c)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	select {
	case <-c.done:
		return c.err
	case <-w.ended:
		// The loop may have ended before it saw the call.
		if w.withdraw(c) {
			return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
		}
	case <-ctx.Done():
		if w.withdraw(c) {
			return gone(ctx)
		}
	}
	// It runs, so its answer comes soon, and until then fn uses what the caller gave it.
	<-c.done
	if c.err == errGone {
		return gone(ctx)
	}
	return c.err
}

// withdraw takes a call out of the line, and reports whether it was there.
// One that runs stays out of it from then on.
func (w *writer) withdraw(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range []*[]*call{&w.urgent, &w.normal} {
		if i := slices.Index(*line, c); i >= 0 {
			*line = slices.Delete(*line, i, i+1)
			return true
		}
	}
	w.left[c] = struct{}{}
	return false
}

func gone(ctx context.Context) error {
	return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
}

// next takes calls out of the line, urgent ones first.
func (w *writer) next() (group []*call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range []*[]*call{&w.urgent, &w.normal} {
		for len(*line) > 0 && len(group) < groupMost {
			c := (*line)[0]
			(*line)[0] = nil
			*line = (*line)[1:]
			group = append(group, c)
		}
	}
	return group
}

// unstarted puts calls that got no room in a transaction back to the front.
func (w *writer) unstarted(group []*call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	group = slices.DeleteFunc(slices.Clone(group), func(c *call) bool {
		_, left := w.left[c]
		if left {
			c.err = errGone
			close(c.done)
		}
		return left
	})
	clear(w.left)
	w.normal = append(group, w.normal...)
}

// waits reports whether any call waits.
func (w *writer) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.urgent)+len(w.normal) > 0
}

func (w *writer) loop() {
	defer close(w.ended)
	for {
		select {
		case <-w.wake:
		case <-w.closed:
			return
		}
		for w.waits() {
			switch err := w.begin(); err {
			case nil:
				w.group()
			case errIdle:
			default:
				w.fail(err)
			}
		}
	}
}

// begin opens a transaction, waiting for other processes, but not for ever for one that does
// not go on. Meanwhile more calls come in or are withdrawn.
func (w *writer) begin() error {
	if err := w.file.check(); err != nil {
		return err
	}
	defer w.turn.give()
	for asked := time.Now(); ; {
		// A process that is stopped while it is at the head of the line must not hold up the others.
		if w.turn.take() || time.Since(asked) > turnPatience {
			err := w.conn.exec("begin immediate")
			if !isBusy(err) {
				return classify(w.path, err)
			}
		}
		select {
		case <-w.closed:
			return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
		case <-time.After(turnPause):
		}
		if time.Since(asked) > w.patience {
			return fmt.Errorf("%w: %s: another process has kept it locked for %v", jobqueue.ErrUnavailable, w.path, w.patience)
		}
		if !w.waits() {
			return errIdle
		}
	}
}

// fail answers every call that waits with an error.
func (w *writer) fail(err error) {
	for group := w.next(); len(group) > 0; group = w.next() {
		for _, c := range group {
			c.err = err
			close(c.done)
		}
	}
}

// group runs the calls that wait in the open transaction, and ends it.
func (w *writer) group() {
	group := w.next()
	started := time.Now()
	t := &tx{conn: w.conn, ctx: context.Background()}
	err := t.begun(w.path)
	ran := 0
	if err != nil {
		ran = len(group) // all of them get the error
	}
	for ; ran < len(group) && err == nil; ran++ {
		if ran > 0 && time.Since(started) > w.groupTime {
			break
		}
		err = w.runOne(t, group[ran], len(group) > 1)
	}
	if err == nil && !w.full {
		err = w.conn.exec("commit")
		w.noteFull(err)
	}
	if w.full && !w.repeated {
		// The file has room inside once what is in the log is moved to it.
		w.conn.exec("rollback")
		w.conn.exec("pragma wal_checkpoint(truncate)")
		w.full, w.repeated = false, true
		w.unstarted(group)
		return
	}
	if err == nil && w.full {
		err = w.conn.exec("commit")
	}
	w.full, w.repeated = false, false
	w.unstarted(group[ran:])
	group = group[:ran]
	if err != nil {
		// SQLite may have rolled back by itself, then this is refused.
		w.conn.exec("rollback")
		err = classify(w.path, err)
	}
	for _, c := range group {
		if c.err == nil {
			c.err = err
		}
		close(c.done)
	}
	if err == nil {
		w.wrote()
	}
	w.checkpoint()
}

// runOne runs one call of a group. Its own failure undoes only what it did; the
// error returned is one of the transaction as a whole.
func (w *writer) runOne(t *tx, c *call, shared bool) error {
	c.err = nil
	if !shared {
		c.err = protect(c.fn, t)
		w.noteFull(c.err)
		c.err = classify(w.path, c.err)
		return c.err
	}
	if err := w.conn.exec("savepoint one"); err != nil {
		return err
	}
	c.err = protect(c.fn, t)
	w.noteFull(c.err)
	if c.err = classify(w.path, c.err); c.err != nil {
		if err := w.conn.exec("rollback to one"); err != nil {
			return fmt.Errorf("%w: %s: another call of the same transaction failed", jobqueue.ErrUnavailable, w.path)
		}
	}
	return w.conn.exec("release one")
}

func (w *writer) noteFull(err error) { w.full = w.full || code(err) == codeFull }

// protect turns a panic into an error, so that no call waits for ever.
func protect(fn func(queuedb.Tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn(t)
}

// checkpoint moves the log to the file when it has grown, after everybody has their answer.
func (w *writer) checkpoint() {
	pages := int64(0)
	err := w.conn.query("pragma wal_checkpoint(noop)", func(scan queuedb.Scan) error {
		var busy, done int64
		return scan(&busy, &pages, &done)
	})
	switch {
	case err != nil || pages < w.walPages:
	case pages < 4*w.walPages || time.Now().Before(w.retry):
		w.conn.exec("pragma wal_checkpoint(passive)")
	default:
		w.shrink()
	}
}

// shrink makes the log begin anew though somebody reads without a break: new
// reads of this process wait, and for those that have begun and for other processes it waits a while.
func (w *writer) shrink() {
	w.gate.Lock()
	defer w.gate.Unlock()
	w.conn.exec(fmt.Sprintf("pragma busy_timeout = %d", shrinkPatience.Milliseconds()))
	busy := int64(1)
	err := w.conn.query("pragma wal_checkpoint(restart)", func(scan queuedb.Scan) error {
		var pages, done int64
		return scan(&busy, &pages, &done)
	})
	w.conn.exec("pragma busy_timeout = 0")
	if err != nil || busy != 0 {
		w.retry = time.Now().Add(shrinkPause)
	}
}

// exec runs a text that is run often.
func (c *conn) exec(text string) error {
	s, err := c.prepare(text, text)
	if err == nil {
		_, err = s.exec()
	}
	return err
}

func (c *conn) query(text string, row func(queuedb.Scan) error) error {
	s, err := c.prepare(text, text)
	if err != nil {
		return err
	}
	return s.query(context.Background(), row)
}

// close ends the loop after the transaction that runs, and refuses what waits.
func (w *writer) close() error {
	close(w.closed)
	<-w.ended
	w.fail(fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed))
	return errors.Join(w.conn.close(), w.turn.close())
}
