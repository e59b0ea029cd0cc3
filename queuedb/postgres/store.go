package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// Connections is how many connections a backend uses at most. One of them is for
// Extend, and one listens while somebody waits for work.
const Connections = 4

// Pauses before a transaction that met another one is repeated. They grow with each time. After a deadlock, which took
// the server a second to find, it also lets the other one go first: else both would wait for each other again.
const (
	firstPause    = 2 * time.Millisecond
	longPause     = 100 * time.Millisecond
	deadlockPause = 100 * time.Millisecond
)

// mostBroken is how often in a row a transaction is repeated because its connection was closed.
const mostBroken = 3

var errClosed = errors.New("backend is closed")

// A store is the [queuedb.Store] of a schema.
type store struct {
	config *config
	urgent chan *conn // nil ones are not open
	idle   chan *conn
	wrote  func(names ...jobqueue.Name) // tells of queues that got jobs

	closing sync.Once
	closed  chan struct{}
}

func newStore(c *config) *store {
	s := &store{config: c, urgent: make(chan *conn, 1), idle: make(chan *conn, Connections-2), closed: make(chan struct{})}
	s.urgent <- nil
	for range cap(s.idle) {
		s.idle <- nil
	}
	return s
}

// take returns a connection, which the caller puts back into the line.
func (s *store) take(ctx context.Context, line chan *conn) (*conn, error) {
	var c *conn
	select {
	case c = <-line:
	case <-s.closed:
		return nil, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
	case <-ctx.Done():
		return nil, gone(ctx)
	}
	select {
	case <-s.closed:
		line <- c
		return nil, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
	default:
	}
	if c == nil {
		// Perhaps the next one is open.
		select {
		case other := <-line:
			line <- c
			c = other
		default:
		}
	}
	if c != nil {
		return c, nil
	}
	c, err := s.config.dial(ctx)
	if err != nil {
		line <- nil
	}
	return c, err
}

func put(line chan *conn, c *conn) {
	if c.IsClosed() {
		c = nil
	}
	line <- c
}

// Write implements [queuedb.Store].
func (s *store) Write(ctx context.Context, urgent bool, fn func(queuedb.Tx) error) error {
	line := s.idle
	if urgent {
		line = s.urgent
	}
	return s.run(ctx, line, beginWrite, fn)
}

// Wrote implements [queuedb.Teller].
func (s *store) Wrote(names ...jobqueue.Name) { s.wrote(names...) }

// Direct implements [queuedb.Direct].
func (s *store) Direct(ctx context.Context, calls ...queuedb.Call) error {
	for _, call := range calls {
		if err := arguments(call.Args); err != nil {
			return fmt.Errorf("%s: %w", call.Statement, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.take(ctx, s.idle)
	if err != nil {
		return err
	}
	defer func() { put(s.idle, c) }()
	failed, err := c.direct(ctx, calls)
	if err == nil && failed != nil {
		return failed
	}
	if isConflict(err) || err != nil && c.IsClosed() && ctx.Err() == nil {
		return queuedb.ErrAgain
	}
	return s.config.classify(ctx, err)
}

// direct runs statements in a transaction of their own. The error of a call is apart from that of the server.
func (c *conn) direct(ctx context.Context, calls []queuedb.Call) (failed, err error) {
	b := &pgx.Batch{}
	before := 0
	if c.local != nil {
		b.Queue(beginWrite)
		b.Queue(apply, c.local...)
		before = b.Len()
	}
	for _, call := range calls {
		b.Queue(statements[call.Statement], call.Args...)
	}
	if c.local != nil {
		b.Queue("commit")
		defer func() {
			if err != nil {
				c.rollback(ctx)
			}
		}()
	}
	results := c.SendBatch(ctx, b)
	for range before {
		if err == nil {
			_, err = results.Exec()
		}
	}
	for _, call := range calls {
		if err != nil || failed != nil {
			break
		}
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			_, failed = each(rows, call.Row)
			err = rows.Err()
		}
	}
	// The commit of a batch comes last.
	if closing := results.Close(); err == nil {
		err = closing
	}
	return failed, err
}

// Read implements [queuedb.Store].
func (s *store) Read(ctx context.Context, fn func(queuedb.Tx) error) error {
	return s.run(ctx, s.idle, beginRead, fn)
}

// run runs fn in a transaction, again and again while others are in its way.
func (s *store) run(ctx context.Context, line chan *conn, begin string, fn func(queuedb.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pause := firstPause
	for broken := 0; ; {
		err, lost := s.once(ctx, line, begin, fn)
		switch {
		case lost && broken < mostBroken:
			// The connection had been closed before, or was before the commit.
			broken++
		case isConflict(err) || errors.Is(err, queuedb.ErrAgain):
			broken = 0
		default:
			return err
		}
		wait := rand.N(pause)
		if code(err) == codeDeadlock {
			wait += deadlockPause
		}
		select {
		case <-time.After(wait):
			pause = min(2*pause, longPause)
		case <-ctx.Done():
			return gone(ctx)
		}
	}
}

// once runs fn in a transaction, and reports whether the connection was lost and nothing was done.
func (s *store) once(ctx context.Context, line chan *conn, begin string, fn func(queuedb.Tx) error) (err error, lost bool) {
	c, err := s.take(ctx, line)
	if err != nil {
		return err, false
	}
	defer func() { put(line, c) }()
	t := &tx{sender: c, config: s.config, ctx: ctx, begin: begin, local: c.local}
	err = c.run(t, fn)
	return err, err != nil && c.IsClosed() && !t.ending && ctx.Err() == nil
}

// run runs fn and ends the transaction.
func (c *conn) run(t *tx, fn func(queuedb.Tx) error) (err error) {
	done := false
	defer func() {
		if !done {
			// fn panics; whoever recovers must not find an open transaction.
			c.rollback(t.ctx)
		}
	}()
	err = fn(t)
	done = true
	if err == nil {
		err = t.err
	}
	if err == nil {
		err = t.outdated
	}
	if err == nil {
		err = t.commit()
	}
	if err != nil {
		c.rollback(t.ctx)
	}
	return err
}

func (t *tx) commit() error {
	if !t.begun && t.waits.Len() == 0 {
		return nil
	}
	t.waits.Queue("commit")
	t.ending = true
	_, err := t.flush("", nil, nil)
	return err
}

// rollback undoes what the transaction did. Where the server cannot be told, the connection is closed, and it finds out.
func (c *conn) rollback(ctx context.Context) {
	if c.IsClosed() || c.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := c.PgConn().Exec(ctx, "rollback").ReadAll(); err != nil {
		c.Close(ctx)
	}
}

// exec runs a text in a transaction of its own.
func (s *store) exec(ctx context.Context, text string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.take(ctx, s.idle)
	if err != nil {
		return err
	}
	defer func() { put(s.idle, c) }()
	_, err = c.Exec(ctx, text, args...)
	return s.config.classify(ctx, err)
}

// close closes the connections when they are idle.
func (s *store) close() error {
	s.closing.Do(func() {
		close(s.closed)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for _, line := range []chan *conn{s.urgent, s.idle} {
			for range cap(line) {
				if c := <-line; c != nil {
					c.Close(ctx)
				}
			}
			for range cap(line) {
				line <- nil
			}
		}
	})
	return nil
}
