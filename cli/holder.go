package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// snapshotAge is for how long a transaction is open before it is worth a word.
var snapshotAge = time.Minute

// A holder is who holds the oldest snapshot of a store, in JSON.
type holder struct {
	Backend     string    `json:"backend"`
	PID         int       `json:"pid"`
	User        string    `json:"user"`
	Application string    `json:"application"`
	Since       time.Time `json:"since"`
}

// holders asks the stores that know of such a thing.
func (s *session) holders(ctx context.Context) (all []holder, err error) {
	for _, st := range s.Stores {
		b, ok := st.Backend.(interface {
			OldestSnapshot(context.Context, time.Duration) (*postgres.Holder, error)
		})
		if !ok {
			continue
		}
		h, err := b.OldestSnapshot(ctx, snapshotAge)
		if err != nil {
			return nil, fmt.Errorf("backend %s: %w", st.Name, err)
		}
		if h != nil {
			all = append(all, holder{st.Name, h.PID, h.User, h.Application, h.Since.UTC()})
		}
	}
	return all, nil
}

func showHolders(w io.Writer, all []holder) error {
	for _, h := range all {
		_, err := fmt.Fprintf(w, "old snapshot in backend %s: process %d of %s (%s) since %s; claims become slower until its transaction ends\n",
			escape(h.Backend), h.PID, escape(h.User), escape(h.Application), stamp(h.Since))
		if err != nil {
			return err
		}
	}
	return nil
}
