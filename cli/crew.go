package cli

import (
	"context"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A crew is what the store of control values knows of who works.
type crew struct {
	runners []runner.Presence
	pauses  []jobqueue.Pause
	idle    time.Duration // since runners last got something done
	worked  bool          // they ever did
	none    bool          // there is no such store
}

func (s *session) crew(ctx context.Context) (c crew, err error) {
	if s.Control == nil {
		return crew{none: true}, nil
	}
	if c.runners, err = runner.Runners(ctx, s.Group); err != nil {
		return c, err
	}
	if c.pauses, err = s.Pauses(ctx); err != nil {
		return c, err
	}
	c.idle, c.worked, err = runner.Progress(ctx, s.Group)
	return c, err
}

// workers returns how many jobs the runners can run at once, and how many they do.
func (c *crew) workers() (all, busy int) {
	for _, p := range c.runners {
		busy += p.Busy
		if !p.Older {
			all += p.Workers
		}
	}
	return all, busy
}
