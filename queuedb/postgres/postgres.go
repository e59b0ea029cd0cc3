package postgres

import (
	"context"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// A Backend is a [jobqueue.Backend] and a [jobqueue.Waiter] over the tables of one schema.
// Any number of processes may use them.
type Backend struct {
	*queuedb.Backend
	store *store
	watch *watch
}

var (
	_ jobqueue.Backend = (*Backend)(nil)
	_ jobqueue.Waiter  = (*Backend)(nil)
)

// Open connects to the database that url names, which is a URL or a list of settings as libpq
// takes them; what it does not say is taken from the environment variables of libpq, a password
// from PGPASSWORD or a password file, too. Tables that [Migrate] must make or bring up to date
// first, and ones that need a newer program, are an [jobqueue.ErrInvalid]. The caller closes the backend.
func Open(ctx context.Context, url string, o *Options) (*Backend, error) {
	c, err := newConfig(url, o)
	if err != nil {
		return nil, err
	}
	return open(ctx, c, o)
}

func open(ctx context.Context, c *config, o *Options) (*Backend, error) {
	k, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	st, err := k.status(ctx)
	if err == nil {
		err = st.check(c)
	}
	if err != nil {
		k.Close(ctx)
		return nil, err
	}
	s := newStore(c)
	<-s.idle
	s.idle <- k
	var told func(error)
	if o != nil && o.Logger != nil {
		told = func(err error) { o.Logger.Warn("store cannot wake runners", "store", c.where, "error", err) }
	}
	w := newWatch(s, told)
	s.wrote = w.wrote
	return &Backend{queuedb.New(s, true), s, w}, nil
}

// Close closes the connections after the calls that run. Calls that wait fail.
func (b *Backend) Close() error {
	b.watch.end()
	return b.store.close()
}
