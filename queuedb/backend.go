package queuedb

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

// How much one transaction does at most, beyond what its caller asked for.
const (
	releaseBatch = 1000 // delayed jobs made ready
	releaseFirst = 100  // delayed jobs made ready by a Pop before anything else
	lapseBatch   = 50   // claims given back
	refillRounds = 20   // times that a Pop looks for more before it answers short
	changeBatch  = 500  // jobs deleted, requeued or listed
	pruneBatch   = 1000 // abandoned jobs deleted
	forgetBatch  = 2000 // marks, push ids, tokens, values and bookings, each
	lostBatch    = 500  // jobs looked at whether they stand anywhere
	forgetFew    = 32   // push ids by one push in forgetEvery, and tokens by one claim in so many
	forgetEvery  = 16
)

// maintainRounds is how often a Maintain repeats a transaction that found as much as it may do.
const maintainRounds = 20

// A Backend is a [jobqueue.Backend] over a [Store].
type Backend struct {
	store   Store
	stopped atomic.Int64 // where the clock stands, in microseconds since 1970; 0 while it goes
	offset  atomic.Int64 // microseconds

	line    line
	direct  atomic.Int64 // claims of popDirect, since some were forgotten
	reached reaches
	late    lates
	due     atomic.Int64 // when delayed jobs were last made ready, in nanoseconds since 1970
	polls   polls

	ids   sync.Map // jobqueue.Name to int64
	names sync.Map // int64 to jobqueue.Name
}

var _ jobqueue.Backend = (*Backend)(nil)

// New returns a backend over a store, whose tables exist. With gather, small pushes that come
// while another is under way share a transaction, which pays where one commit is not shared by the store itself.
func New(s Store, gather bool) *Backend { return &Backend{store: s, line: line{gathers: gather}} }

// Shift moves the clock of this handle by d from now on. It is for tests.
func (b *Backend) Shift(d time.Duration) { b.offset.Add(d.Microseconds()) }

// StopClock makes the clock of this handle stand at an instant from now on, moved by
// Shift alone. It is for tests, which call it before anything else.
func (b *Backend) StopClock(at time.Time) { b.stopped.Store(at.UnixMicro()) }

// A tx is a transaction as this handle sees it.
type tx struct {
	Tx
	b     *Backend
	lines *lining // nil in one that writes nothing
}

// now returns the time of the transaction by the clock of the handle.
func (t tx) now() int64 {
	at := t.b.stopped.Load()
	if at == 0 {
		at = t.Now()
	}
	return at + t.b.offset.Load()
}

func (b *Backend) write(ctx context.Context, fn func(tx) error) error {
	var lines lining
	err := b.store.Write(ctx, false, func(t Tx) error {
		lines = lining{began: time.Now()}
		return fn(tx{t, b, &lines})
	})
	if err == nil {
		b.reached.lower(lines.release)
		for _, l := range lines.looks {
			b.noteDue(l)
		}
		if lines.due != 0 {
			b.noteReleased(lines.due)
		}
		late := b.noteLate(ctx, &lines)
		b.told(lines.anywhere || late, lines.names)
	}
	return err
}

// writeFirst is write for what gives no job a place, before all that wait.
func (b *Backend) writeFirst(ctx context.Context, fn func(tx) error) error {
	return b.store.Write(ctx, true, func(t Tx) error { return fn(tx{t, b, nil}) })
}

func (b *Backend) read(ctx context.Context, fn func(tx) error) error {
	return b.store.Read(ctx, func(t Tx) error { return fn(tx{t, b, nil}) })
}

// reserve calls row with blocks of consecutive numbers, n in all, that nothing else has or will have.
// They are larger than all that were reserved before; up to jobqueue.MaxPush are one block.
func (t tx) reserve(n int, row func(first, n int64)) error {
	t.lines.begin()
	return t.Query("number_reserve", func(scan Scan) error {
		var first, n int64
		err := scan(&first, &n)
		row(first, n)
		return err
	}, int64(n))
}

// numbers returns the first column of what a statement returns.
func (t tx) numbers(statement string, args ...any) (n Numbers, err error) {
	err = t.Query(statement, func(scan Scan) error {
		var v int64
		err := scan(&v)
		n = append(n, v)
		return err
	}, args...)
	return n, err
}

// mostMicros is the longest duration in microseconds that is still one in nanoseconds.
const mostMicros = math.MaxInt64 / 1000

func micros(d time.Duration) int64 {
	us := int64(d / time.Microsecond)
	// A lease of less than a microsecond would be none.
	if d%time.Microsecond > 0 && us < mostMicros {
		us++
	}
	return us
}

// duration is that of so many microseconds, or the longest there is.
func duration(us int64) time.Duration {
	return time.Duration(max(-mostMicros, min(us, mostMicros))) * time.Microsecond
}

func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

func formatID(id int64) string { return strconv.FormatInt(id, 10) }

// parseID returns 0 for what is no id.
func parseID(s string) int64 {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id <= 0 || s[0] == '0' || s[0] == '+' {
		return 0
	}
	return id
}

// column returns a column of n equal values.
func column[T any](n int, v T) []T {
	c := make([]T, n)
	for i := range c {
		c[i] = v
	}
	return c
}

// optional turns the error of work that nothing depends on into nil, unless the caller has gone.
func optional(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && (errors.Is(err, jobqueue.ErrReadOnly) || errors.Is(err, jobqueue.ErrUnavailable)) {
		return nil
	}
	return err
}
