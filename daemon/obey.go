package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue/control"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// The verbs of the commands that a daemon obeys.
const (
	VerbReload   = "reload"    // read the configuration anew
	VerbUpdate   = "update"    // DOMAIN: the same, and say whether the domain is one of the farm's
	VerbStop     = "stop"      // end, and not be started again
	VerbRestart  = "restart"   // end, and be started again
	VerbWorkers  = "workers"   // GROUP N: have so many workers for a group, "" being all, until the process ends
	VerbPauses   = "pauses"    // answer once the pauses that there are hold
	VerbLogLevel = "log-level" // LEVEL: log what is at least so important
)

// MaxWorkers is how many workers a command may ask for.
const MaxWorkers = 1000

const pauseTime = time.Second // within which a pause holds

// obey does what a command says.
func (d *daemon) obey(ctx context.Context, cmd control.Command) (string, error) {
	d.Logger.Info("command", "verb", cmd.Verb, "args", strings.Join(cmd.Args, " "), "by", cmd.By)
	args, ok := map[string]int{VerbReload: 0, VerbUpdate: 1, VerbStop: 0, VerbRestart: 0, VerbWorkers: 2, VerbPauses: 0, VerbLogLevel: 1}[cmd.Verb]
	switch {
	case !ok:
		return "", fmt.Errorf("unknown command %q", cmd.Verb)
	case len(cmd.Args) != args:
		return "", fmt.Errorf("command %s with %d arguments, it takes %d", cmd.Verb, len(cmd.Args), args)
	}
	switch cmd.Verb {
	case VerbReload:
		return d.renew(nil)
	case VerbUpdate:
		return d.update(cmd.Args[0])
	case VerbWorkers:
		return d.resize(cmd.Args[0], cmd.Args[1])
	case VerbLogLevel:
		return d.logLevel(cmd.Args[0])
	case VerbPauses:
		select {
		case <-time.After(pauseTime - cmd.Age):
		case <-ctx.Done():
		}
		return "pauses hold", nil
	case VerbStop:
		return d.end(Stop, "stopping")
	}
	return d.end(Restart, "restarting")
}

func (d *daemon) end(order Order, text string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.order > order {
		return "", errStopping
	}
	d.order = order
	d.stop()
	return text, nil
}

// renew reads the configuration.
func (d *daemon) renew(accept func(next *Generation, workers map[string]int) error) (string, error) {
	n, err := d.reload(accept)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("generation %d", n), nil
}

func (d *daemon) update(domain string) (string, error) {
	return d.renew(func(next *Generation, _ map[string]int) error {
		if next.Knows != nil && !next.Knows(domain) {
			return fmt.Errorf("domain %q is not one of the farm's", domain)
		}
		return nil
	})
}

// resize changes how many workers a group has, by a generation of its own.
func (d *daemon) resize(group, count string) (string, error) {
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > MaxWorkers {
		return "", fmt.Errorf("the number of workers must be 1 to %d, not %q", MaxWorkers, count)
	}
	text, err := d.renew(func(next *Generation, workers map[string]int) error {
		workers[group] = n
		return checkGroup(next.Options.Groups, group)
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d workers", text, n), nil
}

func checkGroup(groups []schedule.Group, group string) error {
	var names []string
	for _, g := range groups {
		if g.Name == group && g.Workers <= 0 {
			return fmt.Errorf("%w: it does not run group %q", control.ErrNotMine, group)
		}
		names = append(names, g.Name)
	}
	switch list := strings.Join(names, ", "); {
	case slices.Contains(names, group), group == "" && len(names) == 0:
		return nil
	case len(names) == 0:
		return fmt.Errorf("there is no group %q, all types share the same workers", group)
	case group == "":
		return fmt.Errorf("say of which group, they are %s", list)
	default:
		return fmt.Errorf("there is no group %q, the groups are %s", group, list)
	}
}

func (d *daemon) logLevel(text string) (string, error) {
	var level slog.Level
	if d.Level == nil {
		return "", fmt.Errorf("the log of this program has no level that can be set")
	}
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return "", fmt.Errorf("the level must be debug, info, warn or error, not %q", text)
	}
	d.Level.Set(level)
	return "log level " + strings.ToLower(level.String()), nil
}
