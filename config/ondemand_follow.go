package config

import (
	"bytes"
	"context"
	"time"

	"github.com/wikifarm/jobqueue/internal/latest"
	"github.com/wikifarm/jobqueue/ondemand"
)

// rereadTime is for how long somebody waits for the farm file to be read again.
const rereadTime = 100 * time.Millisecond

// FollowOnDemand returns [Farm.OnDemandSwitch] of the farm file as it is at the time. It is looked for changes at most once a
// second, when somebody asks; one with a mistake is not used, the last good one stays, and the Logger is told once. The rules
// of the leases, the store and the log file stay those of f.
func (f *Farm) FollowOnDemand() func(domain string) ondemand.Switch {
	if f.path == "" {
		return f.OnDemandSwitch
	}
	good, bad := f, "" // why the file is not used
	v := &latest.Value[*Farm]{Every: time.Second, Patience: 10 * time.Second}
	v.Read = func(context.Context) (*Farm, error) {
		text, err := readFile(f.path)
		if err == nil && bytes.Equal(text, good.text) {
			bad = ""
			return good, nil
		}
		var next *Farm
		if err == nil {
			next, err = parse(&reader{path: f.path}, text)
		}
		if err == nil {
			next.Logger = f.Logger
			good, bad = next, ""
			return good, nil
		}
		if why := err.Error(); why != bad {
			bad = why
			f.logger().Warn("the farm file is not used, the last good one stays", "error", err)
		}
		return good, nil
	}
	v.Set(f)
	return func(domain string) ondemand.Switch {
		latest.Wait(context.Background(), rereadTime, v.Look(context.Background()))
		return v.Last().Value.OnDemandSwitch(domain)
	}
}
