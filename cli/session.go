package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/handler"
)

// defaultFile holds the jobs of those who have no farm file.
const defaultFile = "jobs.db"

// A session is the farm, with the program's jobs registered. Its backends are opened when they are first used.
type session struct {
	*config.Queues
	farm  *config.Farm
	reg   *jobqueue.Registry
	log   *slog.Logger
	level *slog.LevelVar
	once  sync.Once // closed
}

// open loads the farm file; create says whether to make SQLite files that are not there.
func (e *env) open(c *cobra.Command, create bool) (*session, error) {
	e.advised = slices.Contains([]string{"runjobs", "check"}, c.Name())
	level := &slog.LevelVar{}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level, ReplaceAttr: readable}))
	return e.openBeside(c.Context(), &session{Queues: &config.Queues{}, log: log, level: level}, create)
}

// openBeside has the farm be as its file is now or, where that is a mistake and the supervisor gave a better one to begin with,
// as that is. What is open already, and the log, it has in common with others.
func (e *env) openBeside(_ context.Context, others *session, create bool) (*session, error) {
	last := e.inherited()
	farm, err := e.farm(create)
	if err == nil && e.fits != nil {
		err = e.fits(farm)
	}
	if err == nil {
		var s *session
		if s, err = e.session(farm, others, create); err == nil {
			return s, nil
		}
	}
	if last == nil || status(err) != exitUsage {
		return nil, err
	}
	if farm, bad := config.Restore(e.config, last); bad == nil {
		others.log.Error("the farm file is not used, the last good one stays", "error", inline(err))
		return e.session(farm, others, create)
	}
	return nil, err
}

// session returns a farm with the program's jobs.
func (e *env) session(farm *config.Farm, others *session, create bool) (_ *session, err error) {
	s := &session{farm: farm, reg: &jobqueue.Registry{}, log: others.log, level: others.level}
	s.farm.Unadvised = !e.advised
	s.farm.Logger, s.farm.Existing, s.farm.Trace = s.log, !create, e.exports.trace(s, e.app.Trace)
	s.farm.Inline = e.inline(s.log)
	if s.Queues, err = s.farm.OpenBeside(s.reg, others.Queues); err != nil {
		return nil, openStatus(err)
	}
	if err := e.register(s); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// readable makes an error in the log one that people read.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Key == "error" {
		a.Value = slog.StringValue(plain(a.Value.String()))
	}
	return a
}

func (e *env) farm(create bool) (*config.Farm, error) {
	if e.config != "" {
		farm, err := config.Load(e.config)
		if err != nil {
			return nil, &statusError{exitUsage, err}
		}
		return farm, nil
	}
	if !create {
		if _, err := os.Stat(defaultFile); errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("there is no %s in the current directory; give --config FILE, or push a job first", defaultFile)
		}
	}
	return config.SQLite(defaultFile), nil
}

// openStatus tells a store that cannot be reached from one that is not what it should be.
func openStatus(err error) error {
	if errors.Is(err, jobqueue.ErrInvalid) {
		return &statusError{exitUsage, err}
	}
	return &statusError{exitStore, err}
}

func (e *env) register(s *session) error {
	if e.app.Register != nil {
		if err := e.app.Register(s.reg, s.Group); err != nil {
			return fmt.Errorf("register the job types: %w", err)
		}
	}
	if err := s.farm.AddHandlers(s.reg); err != nil {
		return &statusError{exitUsage, err}
	}
	null := handler.Null(s.Group)
	if !slices.Contains(s.reg.Types(), null().Type()) {
		s.reg.Add(null, jobqueue.Policy{})
	}
	return nil
}

// home returns the domain that a flag or a line names or, if it names none, the farm's only one.
func (s *session) home(domain string) (string, error) {
	list := s.farm.Domains()
	switch {
	case domain != "" && !s.farm.Has(domain):
		return "", usagef("domain %q is not one of the farm's, which are %s", domain, some(list))
	case domain != "":
		return domain, nil
	case len(list) > 1:
		return "", usagef("a domain is needed, one of the farm's: %s", some(list))
	}
	return s.Domain(), nil
}

// known returns an error for a domain that nobody knows: it is none of the farm's, and nothing of it is in a store.
func (s *session) known(ctx context.Context, domain string) error {
	if domain == "" || s.farm.Has(domain) {
		return nil
	}
	for _, st := range s.Stores {
		counts, err := st.Backend.Counts(ctx)
		if err != nil || slices.ContainsFunc(counts, func(c jobqueue.Counts) bool { return c.Domain == domain && c.Total() > 0 }) {
			return nil // What cannot be asked may know it.
		}
	}
	held, err := s.held(ctx, jobqueue.Filter{Domain: domain})
	if err != nil || len(held) > 0 {
		return nil
	}
	pauses, err := s.Pauses(ctx)
	if err != nil || slices.ContainsFunc(pauses, func(p jobqueue.Pause) bool { return p.Domain == domain }) {
		return nil
	}
	return usagef("domain %q is not one of the farm's, which are %s, and no store has jobs of it", domain, some(s.farm.Domains()))
}

// some enumerates the first few of a list.
func some(list []string) string {
	const most = 10
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", enumerate(list[:most]), len(list)-most)
	}
	return enumerate(list)
}

// only returns a group that routes everything to one store, for what goes
// store by store.
func (s *session) only(b jobqueue.Backend) *jobqueue.Group {
	r := s.Routes
	r.Default, r.Types = b, nil
	return jobqueue.NewGroup(s.Domain(), r)
}

// Close has the aggregator know what was pushed, and closes the backends. What comes again does nothing.
func (s *session) Close() (err error) {
	s.once.Do(func() {
		s.flush()
		err = s.Queues.Close()
	})
	return err
}

// flushTime is how long a command waits for the aggregator at its end.
const flushTime = 3 * time.Second

// flush has the aggregator know what was pushed.
func (s *session) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		s.log.Warn("the aggregator was not told of what was pushed, it will find out by itself")
	}
}

// run makes a cobra RunE of a function that works on a session.
func (e *env) run(create bool, f func(ctx context.Context, s *session) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) (err error) {
		s, err := e.open(c, create)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		return f(c.Context(), s)
	}
}
