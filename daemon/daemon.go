// Package daemon runs jobs in one process for as long as it lives: it follows the file that
// says how, without a pause and without losing a job, and obeys the commands of package control.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A Generation is what one reading of the configuration amounts to.
type Generation struct {
	Group    *jobqueue.Group
	Registry *jobqueue.Registry
	Options  runner.Options           // how to run the jobs; Wait is implied
	Knows    func(domain string) bool // whether a domain is one of the farm's; nil: all are
	Close    func() error             // called once nothing of the generation runs any more; may be nil
}

// Options say what the daemon runs.
type Options struct {
	// Next reads the configuration: at first, whenever one of Files has changed, and
	// when it is told to. An error of the first ends Run; later ones are logged, and change nothing.
	Next func(ctx context.Context) (*Generation, error)

	// Files are read by Next. What is written to them holds within a second, once it is
	// half a second old: a file should be replaced at once rather than written bit by bit.
	Files []string

	// Part has a run do its part of what processes together do, after commands have said how
	// many workers there are; nil: it does all.
	Part func(o *runner.Options)

	// Finish, when it is closed or receives, has the process end once all that runs is
	// done, however long that takes.
	Finish <-chan struct{}

	// Reload has Next called whenever it receives, as after a signal.
	Reload <-chan os.Signal

	// Reloaded is told, after each call of Next but such as commands refused what came of it, whether the configuration
	// that it read is in force; it may be nil.
	Reloaded func(err error)

	// Level is set by the command log-level; nil refuses it.
	Level *slog.LevelVar

	// Owner names the process for people. Default host name and process id.
	Owner string

	// Logger is told of each generation. Default [slog.Default].
	Logger *slog.Logger
}

// An Order is what a command wants to become of the process.
type Order int

const (
	NoOrder Order = iota // it ended for another reason
	Restart              // it shall be started again
	Stop                 // it shall not, whatever else was said
)

// Run runs generation after generation until ctx ends, a run ends by itself, or a
// command says so. When the configuration changes, the run of the older one drains: it
// claims nothing more, and what runs finishes however long it takes, with the workers it has, while the newer
// one has the others. When ctx ends all of them have the grace of their Options.
//
// The result has the reason of the newest run, and the counts of all.
func Run(ctx context.Context, o Options) (*runner.Result, Order) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{Options: o, process: uuid.NewString(), life: ctx, stop: stop, workers: map[string]int{}, begun: time.Now(), ended: make(chan *generation)}
	if d.Owner == "" {
		host, _ := os.Hostname()
		d.Owner = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	d.noteFiles()
	switch _, err := d.reload(nil); {
	case err != nil && ctx.Err() != nil:
		return &runner.Result{Reached: runner.Stopped}, NoOrder
	case err != nil:
		return &runner.Result{Reached: runner.NonePossible, Err: err}, NoOrder
	}
	res := d.run()
	d.mu.Lock()
	defer d.mu.Unlock()
	return res, d.order
}

// A daemon is one call of Run.
type daemon struct {
	Options
	process string // its id
	begun   time.Time
	life    context.Context
	stop    context.CancelFunc // ends life
	ended   chan *generation
	started atomic.Int64 // jobs, of all generations
	files   files
	retry   time.Time     // when to try again, as a store was away
	total   runner.Counts // of generations that have ended; run's own

	mu      sync.Mutex
	number  int
	newest  *generation
	workers map[string]int // of a group, as a command has set them; "" of all; replaced, never changed
	order   Order

	finishing bool // it drains

	olderMu sync.Mutex    // held shortly, after mu, since runs ask before each claim
	older   []*generation // that drain still
}

// run waits until all generations have ended.
func (d *daemon) run() *runner.Result {
	tick := time.NewTicker(fileTime)
	defer tick.Stop()
	var last *runner.Result
	finish := d.Finish
	for {
		select {
		case <-tick.C:
			if d.filesChanged() || !d.retry.IsZero() && time.Now().After(d.retry) {
				d.try()
			}
		case <-d.Reload:
			d.try()
		case <-finish:
			finish = nil
			d.finish()
		case g := <-d.ended:
			if d.bury(g) {
				last = g.result
				if !d.finishing && !limited(g.result.Reached) {
					d.stop()
				}
			}
			if d.empty() {
				d.shut(d.newest)
				last.Counts, last.Elapsed = d.total, time.Since(d.begun)
				return last
			}
		}
	}
}

// retryTime is how long a configuration waits to be tried again whose stores cannot be reached.
const retryTime = 5 * time.Second

// try starts another generation, or says why not.
func (d *daemon) try() {
	again := !d.retry.IsZero()
	d.retry = time.Time{}
	_, err := d.reload(nil)
	if errors.Is(err, jobqueue.ErrUnavailable) {
		d.retry = time.Now().Add(retryTime)
	}
	if err != nil && err != errStopping && !(again && errors.Is(err, jobqueue.ErrUnavailable)) {
		d.Logger.Error("the configuration is not used, the last good one stays", "error", err)
	}
}

var errStopping = errors.New("the process is stopping")

// reload reads the configuration and starts a generation with it, unless accept, which may be nil, refuses it or the
// numbers of workers that commands have set, which it may change. It returns the number of the generation.
func (d *daemon) reload(accept func(next *Generation, workers map[string]int) error) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life.Err() != nil || d.finishing || d.newest != nil && d.newest.over {
		return 0, errStopping
	}
	next, err := d.Next(d.life)
	if err != nil {
		d.tell(err)
		return 0, err
	}
	workers := maps.Clone(d.workers)
	if accept != nil {
		if err := accept(next, workers); err != nil {
			return 0, errors.Join(err, next.close())
		}
	}
	g, err := d.prepare(next, workers)
	d.tell(err)
	if err != nil {
		return 0, errors.Join(err, next.close())
	}
	d.number++
	d.workers = workers
	g.ears = d.listen(g.Group.Control)
	if old := d.newest; old != nil {
		close(old.drain)
		d.olderMu.Lock()
		d.older = append(d.older, old)
		d.olderMu.Unlock()
		d.Logger.Info("configuration read", "generation", d.number)
	}
	d.newest = g
	go g.run()
	return d.number, nil
}

// tell says whether the configuration that was read is in force.
func (d *daemon) tell(err error) {
	if d.Reloaded != nil {
		d.Reloaded(err)
	}
}

// finish lets all generations end once their jobs have.
func (d *daemon) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.newest.over && !d.finishing {
		d.finishing = true
		close(d.newest.drain)
	}
}

// limited reports whether a run has reached a limit, at which what runs finishes.
func limited(why runner.Reason) bool {
	switch why {
	case runner.TimeLimit, runner.JobLimit, runner.MemoryLimit, runner.LowMemory:
		return true
	}
	return false
}

// bury forgets a generation whose run has ended, and reports whether that was the newest.
func (d *daemon) bury(g *generation) bool {
	d.total.Add(g.result.Counts)
	d.mu.Lock()
	if g == d.newest {
		// Commands are read from its store for as long as the process lives.
		g.over = true
		d.mu.Unlock()
		return true
	}
	d.olderMu.Lock()
	d.older = slices.DeleteFunc(d.older, func(o *generation) bool { return o == g })
	d.olderMu.Unlock()
	d.mu.Unlock()
	d.shut(g)
	return false
}

// shut closes what a generation has opened, once what was answered last is stored.
func (d *daemon) shut(g *generation) {
	d.hush(g)
	if err := g.close(); err != nil {
		d.Logger.Warn("closing what the configuration opened", "error", err)
	}
}

// empty reports whether every generation has ended.
func (d *daemon) empty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newest.over && len(d.older) == 0
}
