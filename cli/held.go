package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/wikifarm/jobqueue"
)

// A heldBy is what a copy holds, in JSON.
type heldBy struct {
	From  string    `json:"from,omitempty"`
	To    string    `json:"to,omitempty"`
	By    string    `json:"by,omitempty"` // if it is no copy of this program
	Jobs  int       `json:"jobs"`
	Since time.Time `json:"since"`
}

// held asks the stores what is held in them. A hold may be in two of them.
func (s *session) held(ctx context.Context, f jobqueue.Filter) (all []heldBy, err error) {
	seen := map[uuid.UUID]bool{}
	for _, st := range s.Stores {
		h, ok := st.Backend.(jobqueue.Holder)
		if !ok {
			continue
		}
		holds, err := h.Holds(ctx)
		if err != nil {
			return nil, fmt.Errorf("backend %s: %w", st.Name, err)
		}
		for _, h := range holds {
			if seen[h.ID] || f.Domain != "" && h.Domain != f.Domain || f.Type != "" && h.Type != f.Type {
				continue
			}
			seen[h.ID] = true
			by := heldBy{By: h.Label}
			if words := strings.Split(h.Label, " "); len(words) == 5 && words[0] == "copy" {
				by = heldBy{From: words[1], To: words[2]}
			}
			i := slices.IndexFunc(all, func(o heldBy) bool { return o.From == by.From && o.To == by.To && o.By == by.By })
			if i < 0 {
				i = len(all)
				by.Since = h.Since.UTC()
				all = append(all, by)
			}
			all[i].Jobs += h.Jobs
			if h.Since.Before(all[i].Since) {
				all[i].Since = h.Since.UTC()
			}
		}
	}
	slices.SortFunc(all, func(x, y heldBy) int {
		return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To), cmp.Compare(x.By, y.By))
	})
	return all, nil
}

func showHeld(w io.Writer, all []heldBy) error {
	for _, h := range all {
		text := fmt.Sprintf("held: %d jobs by %s since %s\n", h.Jobs, escape(h.By), stamp(h.Since))
		if h.By == "" {
			from, to := escape(h.From), escape(h.To)
			text = fmt.Sprintf("held: %d jobs by a copy from %s to %s since %s; if it is not running, jobctl copy --from %s --to %s --resume finishes it\n",
				h.Jobs, from, to, stamp(h.Since), from, to)
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}
