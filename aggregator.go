package jobqueue

import (
	"context"
	"iter"
)

// An Aggregator tells which queues of a farm have work, so that nobody polls the empty
// ones or asks one backend after the other. It is a hint: whoever has lost it, or has
// one that is wrong, finds work later, never less of it. It knows names only;
// the jobs are in the backends.
//
// A [Group] with one, see [Routes], notifies what it pushes. Runners read it,
// clear what turns out to be empty, and sweep it now and then over the backends,
// which also finds what became ready because its time had come.
//
// All methods may be called concurrently, by any number of processes on the same store. They
// return an [ErrUnavailable] when repeating the call later may work.
type Aggregator interface {
	// Notify adds entries for queues that have work now. An entry that is there gets a
	// new version; with an Age above zero also that age. What Version says is ignored.
	Notify(ctx context.Context, queues ...Backlog) error

	// Ready yields the entries of the given types or, without types, all of them, in
	// no particular order, each with its version. It yields an error once, as the last thing.
	Ready(ctx context.Context, types ...string) iter.Seq2[Backlog, error]

	// Clear deletes the entries that still have the version that was seen: a notification
	// since then, that the one who clears cannot know of, wins.
	Clear(ctx context.Context, seen ...Backlog) error
}
