package jobqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// MaxLabel is how many bytes the label of a [Hold] may have.
const MaxLabel = 1 << 10

// HoldMemory is how long a backend remembers a hold that has ended.
const HoldMemory = 28 * 24 * time.Hour

// Holder is implemented by a [Backend] from and to which waiting jobs can be moved while it is in use.
//
// A hold is a batch of jobs of one queue that is kept apart from all queues, under an id. No Pop, Ready, Counts, List, Delete,
// Requeue or Maintain sees them, and a hold does not lapse. A batch is moved in four steps:
//
//	held := from.Hold(h)    the jobs are in no queue
//	to.Keep(h, held)        the hold is in both backends
//	from.Drop(h)            it is in the other one alone
//	to.Release(h)           the jobs are in a queue again
//
// Each is atomic and may be repeated, by any process, whether or not its answer was lost; once a hold has ended
// in a backend, by Drop or Release, nothing is done there under its id any more, for [HoldMemory]. So a job can run in at most
// one of the two at any time, and where the hold is says how to go on: with Keep if it is in from alone, with Drop if in
// both, with Release if in to alone. Who looks asks to first, as the hold may be kept there in between.
//
// A job in a hold does not wait: an equal one may be pushed to either backend meanwhile. Root marks stay where they are.
//
// The work of a call grows with the jobs of the hold that it is about; that of Holds with the holds. A store that is
// full refuses Keep and Release with an [ErrUnavailable].
type Holder interface {
	// Hold takes up to max, and at most MaxPush, of the ready and delayed jobs of the queue out of it, and makes a hold of
	// them: the ready ones first, in their order, then the delayed ones, the next to be ready first. It takes fewer than
	// there are where they are large, and none, making no hold, only if there are none. Before it comes up short it makes
	// ready what a Pop would. A stored job that cannot be read is abandoned with the reason, and the Hold goes on without it.
	//
	// If the hold exists it returns the jobs of that, with what is left of their delays; none if it has ended.
	Hold(ctx context.Context, h Hold, max int) ([]Held, error)

	// Keep makes a hold of jobs from elsewhere, of all of them or, on an error, of none. It does nothing if there are none, and
	// if the hold exists or has ended.
	Keep(ctx context.Context, h Hold, held []Held) error

	// Held returns the jobs of a hold, in their order, and none if there is no such hold.
	Held(ctx context.Context, h Hold) ([]Held, error)

	// Holds returns the holds, the oldest first.
	Holds(ctx context.Context) ([]Hold, error)

	// Drop ends a hold and deletes its jobs.
	Drop(ctx context.Context, h Hold) error

	// Release ends a hold and puts its jobs into the queue as a Push would, under new ids: one with a digest that waits
	// there already is dropped as a duplicate, the waiting job taking over, and root marks move. QueuedAt, Failures, Expiries
	// and LastError stay as they are. It returns how many were stored and how many dropped; of a hold that it has
	// released what it returned then.
	Release(ctx context.Context, h Hold) (stored, duplicates int, err error)
}

// A Hold names a batch of jobs that is moved. Each call of a [Holder] about it gets the same ID, Name and Label.
type Hold struct {
	ID    uuid.UUID // the caller makes it, a new one for each batch
	Name            // of the queue
	Label string    // whose it is; 1 to MaxLabel bytes of UTF-8 without control characters
	Since time.Time // filled in by Holds: when it was made here, by the store's clock
	Jobs  int       // filled in by Holds: how many
}

// Check returns an [ErrInvalid] or [ErrTooLarge] that says which rule h, or a batch that it is to have, breaks. A backend calls it
// first in Hold and Keep.
func (h Hold) Check(held ...Held) error {
	if err := h.Name.Check(); err != nil {
		return err
	}
	if err := checkText("label", h.Label, MaxLabel); err != nil {
		return err
	}
	size := 0
	for i := range held {
		if size += len(held[i].Params); held[i].Name != h.Name {
			return fmt.Errorf("%w: a job of %v in a hold of %v", ErrInvalid, held[i].Name, h.Name)
		}
	}
	if len(held) > MaxPush || size > MaxPushBytes {
		return fmt.Errorf("%w: %d jobs with %d bytes in one hold, at most %d and %d are allowed",
			ErrTooLarge, len(held), size, MaxPush, MaxPushBytes)
	}
	return nil
}

// A Held is a job in a hold. Delay is what is left of the time that it waits, instead of which Keep also takes ReleaseAt; Digest
// is zero if it has given that up.
type Held struct {
	Record
	QueuedAt  time.Time
	Failures  int
	Expiries  int
	LastError string
}
