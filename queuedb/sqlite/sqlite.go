package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// Options of [Open]. The zero value and nil mean the defaults.
type Options struct {
	// Relaxed commits without waiting for the disk. A crash of the program
	// still loses nothing; a crash of the machine may lose the last pushes
	// and settlements, and runs jobs again.
	Relaxed bool
}

// A Backend is a [jobqueue.Backend] and a [jobqueue.Waiter] over one file.
// Any number of processes may have the file open.
type Backend struct {
	*queuedb.Backend
	store *store
	watch *watch
}

var (
	_ jobqueue.Backend = (*Backend)(nil)
	_ jobqueue.Waiter  = (*Backend)(nil)
)

// readers is how many reads run at once.
const readers = 4

// Open opens a file, and creates the tables if it is new or empty. The file of
// another program, one that needs a newer program, and one that [Migrate] must bring up
// to date first are an [jobqueue.ErrInvalid]. The caller closes the backend.
func Open(path string, o *Options) (*Backend, error) {
	if o == nil {
		o = &Options{}
	}
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return nil, fmt.Errorf("%w: path %q is no file", jobqueue.ErrInvalid, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Connections of one process must agree on the name, whatever links lead to the file.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	synchronous := "synchronous = full"
	if o.Relaxed {
		synchronous = "synchronous = normal"
	}
	c, err := dial(path, created, "busy_timeout = 5000")
	if err != nil {
		return nil, err
	}
	if err := patiently(func() error { return c.open(path, synchronous) }); err != nil {
		c.close()
		return nil, classify(path, err)
	}
	f, err := newFile(path)
	if err != nil {
		c.close()
		return nil, err
	}
	s := &store{path: path, file: f, idle: make(chan *conn, readers), closed: make(chan struct{})}
	for range readers {
		s.idle <- nil // opened when needed
	}
	w := newWatch(path)
	s.writer = newWriter(f, &s.gate, c, openTurn(path), w.wrote)
	return &Backend{queuedb.New(s, false), s, w}, nil
}

// open makes c the connection of a writer.
func (c *conn) open(path, synchronous string) error {
	s, err := c.status(path)
	if err != nil {
		return err
	}
	if s.Format == 0 {
		err = c.migrate(context.Background(), path)
	} else {
		err = s.check(path)
	}
	if err != nil {
		return err
	}
	for _, p := range []string{
		synchronous,
		"temp_store = memory",
		"cache_size = -32768",
		"wal_autocheckpoint = 0", // the writer does it after it has answered
		"journal_size_limit = 67108864",
		"busy_timeout = 0", // the writer lines up with other processes
	} {
		if err := c.run("pragma " + p); err != nil {
			return err
		}
	}
	return nil
}

// Close ends what runs in the background and closes the file. Calls that still wait fail.
func (b *Backend) Close() error {
	return errors.Join(b.watch.close(), b.store.close())
}

// Path returns where the file is.
func (b *Backend) Path() string { return b.store.path }

// A store is the [queuedb.Store] of a file.
type store struct {
	path   string
	file   *file
	gate   sync.RWMutex // closed while the log must shrink: who reads begins behind it
	writer *writer
	idle   chan *conn // nil ones are not open yet

	closing sync.Once
	closed  chan struct{}
}

// Write implements [queuedb.Store].
func (s *store) Write(ctx context.Context, urgent bool, fn func(queuedb.Tx) error) error {
	return s.writer.write(ctx, urgent, fn)
}

// Read implements [queuedb.Store].
func (s *store) Read(ctx context.Context, fn func(queuedb.Tx) error) (err error) {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	var c *conn
	select {
	case c = <-s.idle:
	case <-s.closed:
		return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
	case <-ctx.Done():
		return gone(ctx)
	}
	defer func() { s.idle <- c }()
	select {
	case <-s.closed:
		return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
	default:
	}
	if err := s.file.check(); err != nil {
		return err
	}
	if c == nil {
		if c, err = dial(s.path, existing, "busy_timeout = 5000", "query_only = 1", "cache_size = -8192"); err != nil {
			return err
		}
	}
	t := &tx{conn: c, ctx: ctx}
	s.gate.RLock()
	if err = classify(s.path, c.exec("begin")); err != nil {
		s.gate.RUnlock()
		return err
	}
	err = t.begun(s.path)
	s.gate.RUnlock()
	if err == nil {
		err = fn(t)
	}
	err = errors.Join(err, c.exec("commit"))
	if err != nil && ctx.Err() != nil {
		return gone(ctx)
	}
	return classify(s.path, err)
}

func (s *store) close() (err error) {
	s.closing.Do(func() {
		close(s.closed)
		for range readers {
			if c := <-s.idle; c != nil {
				err = errors.Join(err, c.close())
			}
		}
		for range readers {
			s.idle <- nil
		}
		err = errors.Join(err, s.writer.close())
	})
	return err
}
