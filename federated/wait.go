package federated

import (
	"context"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A heard is what one partition's Wait returned.
type heard struct {
	names []jobqueue.Name
	err   error
}

// Wait implements [jobqueue.Waiter]. It waits at every partition that is a Waiter and not away, and for one that
// is away to come back. Work at one that is no Waiter is found by polling alone.
func (b *Backend) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	b.mu.Lock()
	back := b.back
	b.mu.Unlock()
	inner, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan heard)
	waiting := 0
	for _, p := range b.living() {
		if w, ok := p.backend.(jobqueue.Waiter); ok {
			waiting++
			go func() {
				names, err := w.Wait(inner)
				answers <- heard{names, err}
			}()
		}
	}
	var names []jobqueue.Name
	var end error
	told, anywhere := false, false
	for !told && end == nil {
		select {
		case h := <-answers:
			waiting--
			// One that fails is left out of this call.
			told = h.err == nil
			names, anywhere = h.names, told && h.names == nil
		case <-back:
			told, anywhere = true, true
		case <-ctx.Done():
			end = ctx.Err()
		case <-b.life.Done():
			end = errClosed
		}
	}
	stop()
	for ; waiting > 0; waiting-- {
		// The others may have heard something at the same time.
		h := <-answers
		anywhere = anywhere || h.err == nil && h.names == nil
		for _, n := range h.names {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	if end != nil || anywhere {
		return nil, end
	}
	return names, nil
}
