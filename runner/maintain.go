package runner

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	maintainTime = 30 * time.Second     // how often each store is maintained, give or take a tenth
	turnTime     = maintainTime * 5 / 6 // how long a turn lasts; a runner that is alone always gets the next
)

// turn reports whether it is this runner that does next what all of them take turns at. The turn
// is not given back, so that all runners together do it as often as one does. Without a Control each does it.
func (r *run) turn(ctx context.Context, c jobqueue.Control, key string, ttl time.Duration) (bool, error) {
	if c == nil {
		return true, nil
	}
	_, mine, err := c.SetValue(ctx, jobqueue.Value{Key: key, Data: []byte(r.id), TTL: ttl})
	return mine && err == nil, err
}

// maintain has the store do its hygiene now and then.
func (s *store) maintain(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(maintainTime*9/10 + rand.N(maintainTime/5)):
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		var m jobqueue.Maintained
		control, _ := s.backend.(jobqueue.Control)
		mine, err := s.r.turn(call, control, "turn/maintain", turnTime)
		if mine {
			m, err = s.group.Maintain(call)
		}
		cancel()
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.r.log.Warn("maintenance fails", "error", printable(err.Error()))
		case m.Pruned > 0:
			s.r.log.Info("abandoned jobs pruned", "jobs", m.Pruned)
		}
	}
}
