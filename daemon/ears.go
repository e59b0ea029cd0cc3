package daemon

import (
	"context"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/control"
)

// ears are the listener of a store, which all generations that keep their commands there have in common.
type ears struct {
	control jobqueue.Control
	stop    context.CancelFunc
	ended   chan struct{}
}

// firstHeard is how long a generation waits for its store before it starts without listening.
const firstHeard = time.Second

// listen has commands heard in a store; the daemon is locked. Nil is no store.
func (d *daemon) listen(c jobqueue.Control) *ears {
	if c == nil {
		return nil
	}
	for _, g := range d.living() {
		if g.ears != nil && g.ears.control == c {
			return g.ears
		}
	}
	// Not of the daemon's life: commands that come while it ends are answered too.
	ctx, stop := context.WithCancel(context.WithoutCancel(d.life))
	e := &ears{control: c, stop: stop, ended: make(chan struct{})}
	l := &control.Listener{Control: c, Process: d.process, Owner: d.Owner, Obey: d.obey, Logger: d.Logger}
	listening := make(chan struct{})
	go func() {
		defer close(e.ended)
		l.Run(ctx, func() { close(listening) })
	}()
	// Who sees that the process is alive may give it commands at once.
	select {
	case <-listening:
	case <-d.life.Done():
	case <-time.After(firstHeard):
	}
	return e
}

// living returns the generations that have not ended, the newest one even then; the daemon is locked.
func (d *daemon) living() []*generation {
	if d.newest == nil {
		return nil
	}
	d.olderMu.Lock()
	defer d.olderMu.Unlock()
	return append(d.older[:len(d.older):len(d.older)], d.newest)
}

// hush ends the listener of a generation that has ended, unless others have it too, and waits until what was answered
// last is stored. The daemon is not locked: the answer may be to a command that it has still to obey.
func (d *daemon) hush(g *generation) {
	d.mu.Lock()
	shared := g.ears == nil
	for _, o := range d.living() {
		shared = shared || o != g && o.ears == g.ears
	}
	d.mu.Unlock()
	if !shared {
		g.ears.stop()
		<-g.ears.ended
	}
}
