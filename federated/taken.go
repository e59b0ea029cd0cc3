package federated

import (
	"context"
	"errors"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A taken is the jobs that one call has taken for a hold.
type taken struct {
	*hold
	most  int
	from  []*partition
	jobs  [][]jobqueue.Held // by partition
	n     int
	bytes int
}

func (t *taken) add(p *partition, jobs []jobqueue.Held) {
	if len(jobs) == 0 {
		return
	}
	t.from, t.jobs = append(t.from, p), append(t.jobs, jobs)
	t.n += len(jobs)
	for i := range jobs {
		t.bytes += len(jobs[i].Params)
	}
}

// again finds what an earlier call has taken from a partition.
func (t *taken) again(ctx context.Context, p *partition) error {
	jobs, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) ([]jobqueue.Held, error) {
		return e.Held(ctx, t.part(p, 0))
	})
	t.add(p, jobs)
	return err
}

// take takes what is still wanted from a partition.
func (t *taken) take(ctx context.Context, p *partition) error {
	if t.n >= t.most || slices.Contains(t.from, p) {
		return nil
	}
	jobs, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) ([]jobqueue.Held, error) {
		return e.Hold(ctx, t.part(p, 0), t.most-t.n)
	})
	t.add(p, jobs)
	if last := len(t.from) - 1; last > 0 && (t.n > jobqueue.MaxPush || t.bytes > jobqueue.MaxPushBytes) {
		// Together they are too large.
		_, back := t.release(ctx, p, t.part(p, 0))
		t.from, t.jobs, t.n, t.most = t.from[:last], t.jobs[:last], t.n-len(jobs), 0
		err = errors.Join(err, back)
	}
	return err
}

// note has the hold be there. Another call under its id may have noted other parts: those that were taken besides go back.
func (t *taken) note(ctx context.Context) ([]jobqueue.Held, error) {
	to := batch{}
	if t.n > 0 {
		to = t.batch
		to.State, to.Count = held, t.n
		for _, p := range t.from {
			to.Parts = append(to.Parts, p.name)
		}
	}
	ok, err := t.change(ctx, to)
	if ok || err != nil {
		return slices.Concat(t.jobs...), err
	}
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	for _, p := range t.from {
		if !slices.Contains(t.Parts, p.name) {
			if _, err := t.release(ctx, p, t.part(p, 0)); err != nil {
				return nil, err
			}
		}
	}
	return t.hold.jobs(ctx)
}
