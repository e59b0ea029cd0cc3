package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
)

// copyFlags are the flags of copy.
type copyFlags struct {
	from, to     string
	f            jobqueue.Filter
	move, resume bool
}

func (e *env) copy() *cobra.Command {
	var f copyFlags
	c := &cobra.Command{
		Use:   "copy",
		Short: "Copy or move jobs from one backend to another",
		Long: `Copy the ready and delayed jobs of one backend of the farm to another, or with --move
move them, while producers and runners work. Claimed and abandoned ones stay where
they are. A job that waits in the other one already absorbs its duplicates.

What is copied runs twice if runners serve both. What is moved is at no time in both: a
batch is held apart in the first, kept apart in the second, dropped from the first and
then released. It ends when it finds nothing more; as long as somebody pushes
into the first backend it may go on.

What an interrupted copy has left behind is in no queue. The next one with the same
--from and --to finishes that first; with --resume it does no more.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(given(&f.from, "backend"), "from", "the `backend` to take jobs from")
	fs.Var(given(&f.to, "backend"), "to", "the `backend` to put them into")
	filterFlags(c, &f.f)
	fs.BoolVar(&f.move, "move", false, "take them out of the first one")
	fs.BoolVar(&f.resume, "resume", false, "only finish what an earlier one has left behind")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return e.run(false, func(ctx context.Context, s *session) error { return f.run(ctx, c, s) })(c, args)
	}
	return c
}

func (f *copyFlags) check() error {
	switch {
	case f.from == "":
		return usagef("--from is missing, it names the backend to take jobs from")
	case f.to == "":
		return usagef("--to is missing, it names the backend to put jobs into")
	case f.from == f.to:
		return usagef("--from and --to are the same backend, %s", f.from)
	case f.resume && (f.move || f.f.Domain != "" || f.f.Type != ""):
		return usagef("--resume finishes what there is, it goes with --from and --to alone")
	}
	return nil
}

func (f *copyFlags) run(ctx context.Context, c *cobra.Command, s *session) error {
	m := &mover{filter: f.f, mine: map[uuid.UUID]bool{}}
	var err error
	if m.from, err = s.end(f.from); err != nil {
		return err
	}
	if m.to, err = s.end(f.to); err != nil {
		return err
	}
	if s.ReadOnly != "" {
		return fmt.Errorf("%w: %s", jobqueue.ErrReadOnly, s.ReadOnly)
	}
	if m.label, err = copyLabel(ctx, m.from, m.to); err != nil {
		return err
	}
	if err := s.known(ctx, f.f.Domain); err != nil {
		return err
	}
	ctx, abort, stop := onSignals(ctx, endSignals...)
	defer stop()
	// A signal ends the copy between two batches; the second one at once.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		select {
		case <-abort:
			cancel()
		case <-work.Done():
		}
	}()
	done := "copied"
	if f.move {
		done = "moved"
	}
	if isTerminal(c.ErrOrStderr()) {
		m.bar = newBar(c.ErrOrStderr(), -1, done)
	}
	start := time.Now()
	err = m.finish(work)
	if err == nil && !f.resume {
		if f.move {
			err = m.move(ctx, work)
		} else {
			err = m.copy(ctx, work)
		}
	}
	if m.bar != nil {
		m.bar.Finish()
	}
	if told := m.tell(c.OutOrStdout(), f, done, time.Since(start).Round(time.Millisecond)); told != nil {
		return errors.Join(err, told)
	}
	switch {
	case err != nil && m.begun:
		return fmt.Errorf("%w (what was under way is held; go on with --from %s --to %s --resume)", err, f.from, f.to)
	case err != nil:
		return err
	}
	return m.verify(work, c.OutOrStdout(), f)
}

// tell prints what was done.
func (m *mover) tell(w io.Writer, f *copyFlags, done string, took time.Duration) error {
	text := ""
	if m.resumed > 0 || f.resume {
		text += fmt.Sprintf("finished what an earlier copy had left: %d jobs\n", m.resumed)
	}
	if !f.resume {
		text += fmt.Sprintf("%s %d ready and %d delayed jobs from %s to %s in %v\n", done, m.ready, m.delayed, f.from, f.to, took)
	}
	if m.duplicates > 0 {
		text += fmt.Sprintf("dropped %d of them as duplicates of jobs that wait in %s\n", m.duplicates, f.to)
	}
	if m.unreadable > 0 {
		text += fmt.Sprintf("left out %d jobs that cannot be read\n", m.unreadable)
	}
	_, err := io.WriteString(w, text)
	return err
}

// verify compares what went in with what came out, and prints what stays in the first backend.
func (m *mover) verify(ctx context.Context, w io.Writer, f *copyFlags) error {
	if in, out := m.resumed+m.ready+m.delayed, m.stored+m.duplicates; in != out {
		return fmt.Errorf("%d jobs were taken, but %d stored and %d dropped as duplicates", in, m.stored, m.duplicates)
	}
	for _, e := range []end{m.from, m.to} {
		holds, err := e.Holds(ctx)
		if err != nil {
			return e.failed(err)
		}
		if i := slices.IndexFunc(holds, func(h jobqueue.Hold) bool { return m.mine[h.ID] }); i >= 0 {
			return fmt.Errorf("backend %s still has the hold %s with %d jobs", e.name, holds[i].ID, holds[i].Jobs)
		}
	}
	counts, err := m.from.Counts(ctx)
	if err != nil {
		return m.from.failed(err)
	}
	var left jobqueue.Counts
	for _, n := range counts {
		if m.wants(n.Name) {
			left.Ready += n.Ready
			left.Delayed += n.Delayed
			left.Claimed += n.Claimed
			left.Abandoned += n.Abandoned
		}
	}
	if _, err := fmt.Fprintf(w, "%s has %d ready, %d delayed, %d claimed and %d abandoned jobs now\n",
		f.from, left.Ready, left.Delayed, left.Claimed, left.Abandoned); err != nil {
		return err
	}
	if n := left.Ready + left.Delayed; f.move && n > 0 {
		return fmt.Errorf("%d jobs have come to wait in %s meanwhile; run it again when nobody pushes there", n, f.from)
	}
	return nil
}

// An end is a backend that jobs come from or go to.
type end struct {
	name string
	jobqueue.Backend
	jobqueue.Holder
}

// failed says of an error which backend it is of.
func (e end) failed(err error) error {
	if err != nil {
		err = fmt.Errorf("backend %s: %w", e.name, err)
	}
	return err
}

// twice does what may be repeated, once more if the store is unavailable or did not answer.
func (e end) twice(do func() error) error {
	err := do()
	if errors.Is(err, jobqueue.ErrUnavailable) {
		err = do()
	}
	return e.failed(err)
}

// end finds the backend that a flag names.
func (s *session) end(name string) (end, error) {
	var names []string
	for _, st := range s.Stores {
		if st.Name != name {
			names = append(names, st.Name)
			continue
		}
		h, ok := st.Backend.(jobqueue.Holder)
		if lost := s.inMemory(name); len(lost) > 0 {
			return end{}, usagef("%s is in memory: what is stored there ends with this command", lost[0])
		} else if !ok {
			return end{}, usagef("backend %s cannot hold jobs to be moved", name)
		}
		return end{name, st.Backend, h}, nil
	}
	for _, st := range s.Stores {
		if slices.Contains(s.farm.Partitions(st.Name), name) {
			return end{}, usagef("%s is a partition of backend %s, whose jobs cannot be copied apart from the others'", name, st.Name)
		}
	}
	return end{}, usagef("there is no backend %q, they are %s", name, enumerate(names))
}

// storeKey is that of the value by which a store is known, whatever farm files call it.
const storeKey = "copy/store"

// copyLabel is what holds of copies between two stores have in common.
func copyLabel(ctx context.Context, from, to end) (string, error) {
	var ids []string
	for _, end := range []end{from, to} {
		c, ok := end.Backend.(jobqueue.Control)
		if !ok {
			return "", usagef("backend %s keeps no values, by which it could be known", end.name)
		}
		v, _, err := c.SetValue(ctx, jobqueue.Value{Key: storeKey, Data: []byte(uuid.NewString())})
		if err != nil {
			return "", end.failed(err)
		}
		ids = append(ids, string(v.Data))
	}
	if ids[0] == ids[1] {
		return "", usagef("backends %s and %s are the same store", from.name, to.name)
	}
	return fmt.Sprintf("copy %s %s %s %s", from.name, to.name, ids[0], ids[1]), nil
}
