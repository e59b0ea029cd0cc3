package jobqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Push stores jobs of any types and domains. Either every spec is valid or
// nothing is stored.
//
// It splits the batch by backend and into pieces of at most [MaxPush] jobs;
// each piece is stored whole or not at all, and a piece that fails does not
// stop the others. Pushed says for every job whether it is in. On an
// [ErrUnavailable] a piece is tried once more, under the same push id, so that
// a lost answer neither loses nor doubles a job.
//
// # Jobs that run inline
//
// Jobs that are not stored run in this process, one after the other, once the others of the
// push are stored: all that [Routes].Async does not have stored, those that could not be stored and
// for which Fallback is true, and with [WithSynchronous] all. Of them Pushed says that they were Inline and
// with which error they ended, which is one of Push's too, since nobody tries them again.
//   - A delayed job is stored in any case; without a backend it is an [ErrInvalid].
//   - A job that is paused is stored, as it is to wait. If what is paused cannot be asked, what was last known counts.
//   - A job that cannot run here, as its type is unknown or its parameters do not fit, is refused before anything is stored.
//   - Of equal jobs that run inline in one push, the later ones are duplicates. What is stored is not compared with.
//   - Roots are left alone: the job runs, and no mark moves. A root without a time has that of the push.
//   - A job that could not be stored may be in all the same, if it is an [ErrUnavailable] or the backend is made of several. Then the
//     fallback runs it a second time; so there is none for [Policy.AtMostOnce], nor for a delayed or paused job, nor once ctx has ended.
//   - ctx is that of the job, with [Policy.Timeout]. A job that has not begun when ctx ends fails. Rates, caps and groups do not hold.
//   - What the job pushes inline runs behind it, before this Push returns, with the context of this Push: jobs do not nest,
//     however long their chain is. An error of such a job is one of this Push alone.
//   - Whatever the job returns, [Snooze] too, it is not tried again: its attempt is the first and the last.
//   - In a farm that is read-only nothing is pushed, and nothing runs inline.
func (g *Group) Push(ctx context.Context, specs ...Spec) (Pushed, error) {
	if err := g.writable(); err != nil {
		return nil, &Error{Op: "push", Err: err}
	}
	records, err := g.Records(specs...)
	if err != nil {
		return nil, &Error{Op: "push", Err: err}
	}
	here, err := g.inline(ctx, records)
	if err != nil {
		return nil, &Error{Op: "push", Err: err}
	}
	if g.Trace.Pushing == nil {
		return g.pushRecords(ctx, records, here)
	}
	done := g.Trace.Pushing(ctx, records)
	pushed, err := g.pushRecords(ctx, records, here)
	if done != nil {
		done(pushed, err)
	}
	return pushed, err
}

// pushRecords stores checked records, wherever each belongs, and runs those that run here.
func (g *Group) pushRecords(ctx context.Context, records []Record, here map[int]*inlineJob) (Pushed, error) {
	pushed := make(Pushed, len(records))
	var errs []error
	for _, b := range g.backends {
		earlier := map[Mark]bool{} // the new roots of pieces that are in
		for _, piece := range pieces(records, func(i int) bool { return here[i] == nil && g.Backend(records[i].Type) == b }) {
			err := g.sameRoots(ctx, b, records, piece, earlier)
			if err == nil {
				err = g.pushPiece(ctx, b, records, piece, pushed)
			} else {
				fail(pushed, piece, err)
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 && g.Fallback != nil {
		here = g.fallBack(ctx, records, pushed, here)
		errs = slices.DeleteFunc(errs, func(err error) bool {
			for i := range pushed {
				if pushed[i].Err == err && here[i] == nil {
					return false
				}
			}
			return true
		})
	}
	errs = append(errs, g.runInline(ctx, records, here, pushed)...)
	return pushed, errors.Join(errs...)
}

// sameRoots gives the jobs of a piece the time of the new roots that they share with
// earlier pieces, lest the pieces of one push supersede each other; it adds
// the roots that are new in this one.
func (g *Group) sameRoots(ctx context.Context, b Backend, records []Record, piece []int, earlier map[Mark]bool) error {
	var marks []Mark
	var places [][]int
	index := map[Mark]int{}
	for _, i := range piece {
		r := &records[i]
		if r.Root.Key == "" || !r.Root.Time.IsZero() {
			continue
		}
		m := Mark{Name: r.Name, Key: r.Root.Key}
		if !earlier[m] {
			continue
		}
		k, seen := index[m]
		if !seen {
			k = len(marks)
			index[m] = k
			marks, places = append(marks, m), append(places, nil)
		}
		places[k] = append(places[k], i)
	}
	if len(marks) > 0 {
		times, err := b.MarkRoots(ctx, marks...)
		if _, part := errors.AsType[*PartError](err); err != nil && !part {
			return &Error{Op: "push", Queue: marks[0].Name, Err: fmt.Errorf("read root marks: %w", err)}
		}
		for k := range marks {
			for _, i := range places[k] {
				records[i].Root.Time = times[k]
			}
		}
	}
	for _, i := range piece {
		if r := &records[i]; r.Root.Key != "" && r.Root.Time.IsZero() {
			earlier[Mark{Name: r.Name, Key: r.Root.Key}] = true
		}
	}
	return nil
}

// pieces splits the places of the records that are wanted into runs within the limits of Backend.Push.
func pieces(records []Record, wanted func(i int) bool) (out [][]int) {
	var piece []int
	size := 0
	for i := range records {
		r := &records[i]
		if !wanted(i) {
			continue
		}
		if len(piece) == MaxPush || len(piece) > 0 && size+len(r.Params) > MaxPushBytes {
			out = append(out, piece)
			piece, size = nil, 0
		}
		piece = append(piece, i)
		size += len(r.Params)
	}
	if len(piece) > 0 {
		out = append(out, piece)
	}
	return out
}

func (g *Group) pushPiece(ctx context.Context, b Backend, records []Record, piece []int, pushed Pushed) error {
	batch := records
	if len(piece) != len(records) {
		batch = make([]Record, len(piece))
		for k, i := range piece {
			batch[k] = records[i]
		}
	}
	id, err := uuid.NewV7()
	var answer Pushed
	if err == nil {
		answer, err = b.Push(ctx, id, batch)
	}
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		answer, err = b.Push(ctx, id, batch)
	}
	if g.Trace.Pushed != nil {
		g.Trace.Pushed(ctx, batch, answer, err)
	}
	if err != nil {
		e := &Error{Op: "push", Queue: queueOf(batch), Err: err}
		fail(pushed, piece, e)
		return e
	}
	for k, i := range piece {
		pushed[i] = answer[k]
	}
	g.notifyPushed(batch)
	return nil
}

// queueOf returns the queue of all records, the zero Name if they are of several.
func queueOf(records []Record) Name {
	for i := range records {
		if records[i].Name != records[0].Name {
			return Name{}
		}
	}
	return records[0].Name
}

func fail(pushed Pushed, piece []int, err error) {
	for _, i := range piece {
		pushed[i].Err = err
	}
}
