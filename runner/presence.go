package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	presencePrefix = "runner/"       // of the keys in a Control
	progressKey    = "progress"      // in a Control, set whenever runners have got something done
	presenceTime   = 5 * time.Second // between two announcements; one counts for three times as long
	presenceWait   = time.Second     // for taking it back at the end
	glanceTime     = time.Second     // between two glances at whether it is busy, of which it tells when that has changed
	newsTime       = time.Second / 4 // at least so long before one that is made because of news
	mostListed     = 100             // domains, and running jobs
	mostFaults     = 20
	mostReason     = 200 // bytes of a fault
)

// A Presence is what a runner says of itself. All lists are sorted or in the
// order of the workers; a long one is cut, and then the count beside it is larger.
type Presence struct {
	ID          string       `json:"id"`                   // random, made at the start of Run; nothing else names a runner for sure
	Owner       string       `json:"owner"`                // Options.Owner, a label
	Process     string       `json:"process,omitempty"`    // Options.Process
	Generation  int          `json:"generation,omitempty"` // Options.Generation
	Config      string       `json:"config,omitempty"`     // Options.Config
	Host        string       `json:"host"`
	PID         int          `json:"pid"`
	Version     string       `json:"version"` // of the program, as it was built
	Started     time.Time    `json:"started"`
	Workers     int          `json:"workers"`
	Types       []string     `json:"types"` // that it runs
	TypeCount   int          `json:"typeCount"`
	Others      bool         `json:"others"`           // it runs all other types too
	Except      []string     `json:"except,omitempty"` // but these
	Domains     []string     `json:"domains"`          // that it serves
	DomainCount int          `json:"domainCount"`
	AllDomains  bool         `json:"allDomains"` // it serves whatever domain there is
	Running     []RunningJob `json:"running"`
	Busy        int          `json:"busy"`  // how many jobs run
	Ended       int          `json:"ended"` // how many runs it has ended and recorded

	// Only says of types on which domains alone they are run; what is long is left out.
	Only map[string][]string `json:"only,omitempty"`

	// Faults are types that rest as their handler is at fault, and why; at most 20.
	Faults map[string]string `json:"faults,omitempty"`

	// Older says that the process has a runner of a newer generation: this one claims nothing more, and its workers are none besides those.
	Older bool `json:"older,omitempty"`

	Beat time.Duration `json:"-"` // how long ago it said so, by the store's clock
}

// A RunningJob is a job in Run.
type RunningJob struct {
	Domain  string    `json:"domain"`
	Type    string    `json:"type"`
	ID      string    `json:"id"` // as Options.Label has it
	Attempt int       `json:"attempt"`
	Since   time.Time `json:"since"` // by the runner's clock
}

// Covers reports whether the runner claims jobs of a queue. Of a list that was cut it
// supposes that the name is in the rest.
func (p *Presence) Covers(n jobqueue.Name) bool {
	domain := p.AllDomains || len(p.Domains) < p.DomainCount || slices.Contains(p.Domains, n.Domain)
	typ := len(p.Types) < p.TypeCount || slices.Contains(p.Types, n.Type) || p.Others && !slices.Contains(p.Except, n.Type)
	only, some := p.Only[n.Type]
	return !p.Older && domain && typ && (!some || slices.Contains(only, n.Domain))
}

// Runners returns the runners that have said within the last 15 seconds that
// they are alive, in the order of their IDs. Those on a group without a
// [jobqueue.Control] do not say so; then the error is an [errors.ErrUnsupported].
func Runners(ctx context.Context, g *jobqueue.Group) ([]Presence, error) {
	if g.Control == nil {
		return nil, errNoControl
	}
	values, err := g.Control.Values(ctx, presencePrefix)
	if err != nil {
		return nil, fmt.Errorf("read which runners are alive: %w", err)
	}
	all, newest := make([]Presence, 0, len(values)), map[string]int{}
	for _, v := range values {
		p := Presence{Beat: v.Age}
		// One of another version may be a riddle; it is alive all the same.
		if err := json.Unmarshal(v.Data, &p); err != nil {
			p = Presence{ID: v.Key[len(presencePrefix):], Beat: v.Age}
		}
		all = append(all, p)
		newest[p.Process] = max(newest[p.Process], p.Generation)
	}
	for i := range all {
		p := &all[i]
		p.Older = p.Process != "" && p.Generation < newest[p.Process]
	}
	return all, nil
}

// Progress returns how long ago runners last said that they had got something done: that
// runs had ended, well or not, and were recorded. They say so every five seconds, if it is so,
// and at their end. ok is false if none ever did. Without a [jobqueue.Control] the
// error is an [errors.ErrUnsupported].
func Progress(ctx context.Context, g *jobqueue.Group) (ago time.Duration, ok bool, err error) {
	if g.Control == nil {
		return 0, false, errNoControl
	}
	values, err := g.Control.Values(ctx, progressKey)
	if err != nil {
		return 0, false, fmt.Errorf("read when runners last got something done: %w", err)
	}
	for _, v := range values {
		if v.Key == progressKey {
			return v.Age, true, nil
		}
	}
	return 0, false, nil
}

var errNoControl = fmt.Errorf("%w: the default backend keeps no control values, so runners cannot say that they are alive", errors.ErrUnsupported)

// announce says every few seconds that this runner is alive, within a second when it begins to run jobs or has none any more, and at once when a type
// begins or ends a rest. That it cannot be said stops nothing.
func (r *run) announce(ctx context.Context) {
	c := r.group.Control
	if c == nil {
		return
	}
	key := presencePrefix + r.id
	started, failing, told := time.Now(), false, 0
	tick, glance := time.NewTicker(presenceTime), time.NewTicker(glanceTime)
	defer tick.Stop()
	defer glance.Stop()
	for ctx.Err() == nil {
		busy := r.busy()
		call, cancel := context.WithTimeout(ctx, presenceTime)
		v := jobqueue.Value{Key: key, Data: r.presence(started), TTL: 3 * presenceTime, Version: jobqueue.AnyVersion}
		_, _, err := c.SetValue(call, v)
		told = r.progress(call, told)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			r.log.Warn("the runner cannot say that it is alive", "error", printable(err.Error()))
		}
		failing = err != nil
		said := time.Now()
		for same := true; same; {
			same = false
			select {
			case <-ctx.Done():
			case <-tick.C:
			case <-glance.C:
				same = r.busy() == busy
			case <-r.news:
				// Faults come in swarms; they are told together.
				select {
				case <-ctx.Done():
				case <-time.After(time.Until(said.Add(newsTime))):
				}
			}
		}
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), presenceWait)
	defer cancel()
	// If that fails, it runs out.
	_, _, _ = c.SetValue(call, jobqueue.Value{Key: key, Version: jobqueue.AnyVersion})
	r.progress(call, told)
}

// busy reports whether a job runs.
func (r *run) busy() bool {
	return slices.ContainsFunc(r.workers, func(w *worker) bool { return w.current.Load() != nil })
}

// ended returns how many jobs were run, or dropped for a newer root, and are settled.
func (r *run) ended() int {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	return r.tally.counts.Runs() + r.tally.counts.Superseded
}

// progress says that something got done if it is more than was told, and returns what is told now.
func (r *run) progress(ctx context.Context, told int) int {
	n := r.ended()
	if n == told {
		return told
	}
	v := jobqueue.Value{Key: progressKey, Data: []byte(r.id), Version: jobqueue.AnyVersion}
	if _, _, err := r.group.Control.SetValue(ctx, v); err != nil {
		return told
	}
	return n
}

// presence returns what to say, no longer than a value may be.
func (r *run) presence(started time.Time) []byte {
	p := Presence{
		ID: r.id, Owner: printable(r.o.Owner), Process: r.o.Process, Generation: r.o.Generation, Config: r.o.Config,
		PID: os.Getpid(), Version: version(),
		Started: started.UTC(), Workers: r.o.Workers,
	}
	p.Host, _ = os.Hostname()
	if len(r.o.Types) > 0 {
		p.Types = slices.DeleteFunc(slices.Clone(r.o.Types), r.fetcher.limits.elsewhere)
	} else {
		p.Types = slices.DeleteFunc(r.reg.Types(), func(typ string) bool { return !r.fetcher.runs(typ) })
		// No type has an empty name; only a fallback takes it.
		p.Others, p.Except = r.fetcher.runs(""), slices.Clone(r.group.Exclude)
		for _, g := range r.o.Groups {
			if g.Workers <= 0 {
				p.Except = append(p.Except, slices.DeleteFunc(slices.Clone(g.Include), r.fetcher.limits.covers)...)
			}
			p.Except = append(p.Except, slices.DeleteFunc(slices.Clone(g.Exclude), r.fetcher.limits.covers)...)
		}
	}
	if served := r.served.Load(); served != nil {
		p.Domains = slices.Clone(*served)
	} else {
		p.AllDomains = true
	}
	for _, w := range r.workers {
		if j := w.current.Load(); j != nil {
			p.Running = append(p.Running, RunningJob{j.claim.Domain, j.claim.Type, r.o.Label(j.claim), j.claim.Attempt, j.started.UTC()})
		}
	}
	p.Only = shownOnly(r.o.Only)
	p.Faults = map[string]string{}
	r.resting.Range(func(typ, reason any) bool {
		text := printable(reason.(string))
		p.Faults[typ.(string)] = strings.ToValidUTF8(text[:min(len(text), mostReason)], "")
		return len(p.Faults) < mostFaults
	})
	slices.Sort(p.Types)
	p.Types = slices.Compact(p.Types)
	slices.Sort(p.Domains)
	p.TypeCount, p.DomainCount, p.Busy, p.Ended = len(p.Types), len(p.Domains), len(p.Running), r.ended()
	cut(&p.Domains, mostListed)
	cut(&p.Running, mostListed)
	for {
		data, err := json.Marshal(p)
		if err == nil && len(data) <= jobqueue.MaxValue {
			return data
		}
		cut(&p.Running, len(p.Running)/2)
		cut(&p.Domains, len(p.Domains)/2)
		cut(&p.Types, len(p.Types)/2)
		cut(&p.Except, len(p.Except)/2)
		halve(p.Only)
	}
}

func cut[T any](list *[]T, most int) { *list = (*list)[:min(len(*list), most)] }

// version returns how the program was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
