package cli

import (
	"context"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A crew is what the store of control values knows of who works.
type crew struct {
	runners []runner.Presence
	pauses  []jobqueue.Pause
	none    bool // there is no such store
}

func (s *session) crew(ctx context.Context) (c crew, err error) {
	if s.Control == nil {
		return crew{none: true}, nil
	}
	if c.runners, err = runner.Runners(ctx, s.Group); err != nil {
		return c, err
	}
	c.pauses, err = s.Pauses(ctx)
	return c, err
}

// workers returns how many jobs the runners can run at once, and how many they do.
func (c *crew) workers() (all, busy int) {
	for _, p := range c.runners {
		all += p.Workers
		busy += p.Busy
	}
	return all, busy
}
