package jobqueue

import (
	"context"
	"errors"

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
func (g *Group) Push(ctx context.Context, specs ...Spec) (Pushed, error) {
	if err := g.writable(); err != nil {
		return nil, &Error{Op: "push", Err: err}
	}
	records, err := g.Records(specs...)
	if err != nil {
		return nil, &Error{Op: "push", Err: err}
	}
	pushed := make(Pushed, len(records))
	var errs []error
	for _, b := range g.backends {
		for _, piece := range pieces(records, func(r *Record) bool { return g.Backend(r.Type) == b }) {
			if err := g.pushPiece(ctx, b, records, piece, pushed); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return pushed, errors.Join(errs...)
}

// pieces splits the places of the records that are wanted into runs within the limits of Backend.Push.
func pieces(records []Record, wanted func(*Record) bool) (out [][]int) {
	var piece []int
	size := 0
	for i := range records {
		r := &records[i]
		if !wanted(r) {
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
		e := &Error{Op: "push", Queue: batch[0].Name, Err: err}
		for _, i := range piece {
			pushed[i].Err = e
		}
		return e
	}
	for k, i := range piece {
		pushed[i] = answer[k]
	}
	return nil
}
