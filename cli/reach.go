package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

// reachTime is how long runjobs waits for the stores before it begins.
const reachTime = 3 * time.Second

var errSilent = errors.New("no answer for " + reachTime.String())

// reach opens the stores, and returns why the jobs cannot run. Without --wait that is a store that they need and
// that is away or wrong. With it others may be as they are, and are used once they can be, but a default store that is wrong
// is a mistake.
func (f *runFlags) reach(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reachTime, errSilent)
	defer cancel()
	errs := s.Reach(ctx)
	for _, st := range s.Stores {
		switch err := errs[st.Name]; {
		case err == nil:
		case f.o.Wait && (st.Backend != s.Default || !errors.Is(err, jobqueue.ErrInvalid)):
		case f.o.Wait || st.Backend == s.Default || f.needs(s, st.Backend):
			return openStatus(err)
		}
	}
	return nil
}

// needs reports whether jobs that are to be run are in a store.
func (f *runFlags) needs(s *session, b jobqueue.Backend) bool {
	types := f.o.Types
	if len(types) == 0 {
		types = slices.DeleteFunc(s.reg.Types(), s.Excluded)
	}
	return slices.ContainsFunc(types, func(typ string) bool { return s.Backend(typ) == b })
}
