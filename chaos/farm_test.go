//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A stage is where a drill takes place.
type stage interface {
	cast() cast
	play(ctx context.Context, t trouble, over <-chan struct{}) error
	rest(ctx context.Context) error // producers end
	end(ctx context.Context) error  // runners too
	look() jobqueue.Backend
	logs() string // where workers write to
}

// A farm is real processes that share servers, or a file.
type farm struct {
	dir   string
	keep  kept // as the servers are reached directly
	eye   store
	clock *clockwork // of the eye; those of the processes are where it is
	rnd   *rand.Rand

	mu        sync.Mutex
	servers   map[string]server
	links     map[string]map[string]*link // by process and place
	processes map[string]*process
	times     map[string]int // a process was started
}

// Who works, whatever the store.
var (
	runnerNames   = []string{"runner0", "runner1", "runner2"}
	producerNames = []string{"producer0", "producer1"}
	workerNames   = slices.Concat(runnerNames, producerNames)
)

// logDir returns a directory that stays if the test fails.
func logDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what everybody wrote down is in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// address returns one of this machine that no other process listens at, as no connection comes from there.
func address(t *testing.T) string {
	t.Helper()
	for {
		a := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(255), 1+rand.IntN(254))
		l, err := net.Listen("tcp", a+":5432")
		if err == nil {
			l.Close()
			return a
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

// newFarm starts the servers of some places, and makes the links to them.
func newFarm(t *testing.T, seed uint64, keep kept) *farm {
	t.Helper()
	f := &farm{
		dir: logDir(t), keep: keep, rnd: rand.New(rand.NewPCG(seed, 2)),
		clock: &clockwork{}, servers: map[string]server{}, links: map[string]map[string]*link{}, processes: map[string]*process{}, times: map[string]int{},
	}
	for i, p := range keep.Places {
		if p.Kind == "sqlite" {
			keep.Places[i].At = filepath.Join(f.dir, p.At)
			continue
		}
		s, err := p.serve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		f.servers[p.Name] = s
	}
	f.eye = f.open(t, keep, f.clock)
	f.lay(t)
	return f
}

// open opens a store until the test ends.
func (f *farm) open(t *testing.T, k kept, w *clockwork) store {
	t.Helper()
	s, err := k.open(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.(io.Closer).Close() })
	return s
}

// people starts all processes.
func (f *farm) people(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		for _, p := range f.processes {
			p.cmd.Process.Kill()
			<-p.ended
		}
	})
	for _, name := range workerNames {
		if err := f.start(name); err != nil {
			t.Fatal(err)
		}
	}
}

// lay makes the links.
func (f *farm) lay(t *testing.T) {
	t.Helper()
	for i, name := range workerNames {
		f.links[name] = map[string]*link{}
		for _, p := range f.keep.Places {
			if f.servers[p.Name] == nil {
				continue
			}
			host, _, _ := net.SplitHostPort(p.At)
			l, err := newLink(name+" to "+p.Name, fmt.Sprint(host, ":", 7000+i), p.At, i%2 == 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.Stop)
			f.links[name][p.Name] = l
		}
	}
}

// start starts a process once more.
func (f *farm) start(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times[name]++
	o := order{
		worker: worker{Name: fmt.Sprint(name, ".", f.times[name]), Runner: slices.Contains(runnerNames, name), Seed: f.rnd.Uint64(), Pause: pause},
		Keep:   f.reach(name), Dir: f.dir, Shift: f.clock.shift,
	}
	p, err := spawn(o)
	if err == nil {
		f.processes[name] = p
	}
	return err
}

// reach returns where the servers are for a process.
func (f *farm) reach(name string) (k kept) {
	for _, p := range f.keep.Places {
		if l := f.links[name][p.Name]; l != nil {
			p.At = l.Listen
		}
		k.Places = append(k.Places, p)
	}
	return k
}

func (f *farm) process(name string) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processes[name]
}

func (f *farm) cast() cast {
	c := cast{Processes: workerNames, Workers: workerNames}
	for _, p := range f.keep.Places {
		if f.servers[p.Name] != nil {
			c.Servers = append(c.Servers, p.Name)
		}
	}
	return c
}

func (f *farm) look() jobqueue.Backend { return f.eye }

func (f *farm) logs() string { return f.dir }

// play has a trouble happen until it is over.
func (f *farm) play(ctx context.Context, t trouble, over <-chan struct{}) error {
	switch t.Kind {
	case killOne:
		if s := f.servers[t.Target]; s != nil {
			if err := s.Kill(); err != nil {
				return err
			}
			<-over
			return s.restart()
		}
		if err := f.process(t.Target).kill(); err != nil {
			return err
		}
		<-over
		return f.start(t.Target)
	case stopOne:
		if s := f.servers[t.Target]; s != nil {
			goOn, err := s.pause(ctx)
			if goOn != nil {
				<-over
				err = errors.Join(err, goOn())
			}
			return err
		}
		p := f.process(t.Target)
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		<-over
		return p.cmd.Process.Signal(syscall.SIGCONT)
	case stepTime:
		return f.step(ctx, t.Step)
	default:
		return f.trouble(t, over)
	}
}

// trouble has all links that a trouble is about suffer at once.
func (f *farm) trouble(t trouble, over <-chan struct{}) error {
	var all sync.WaitGroup
	errs := make(chan error, len(workerNames)*len(f.keep.Places))
	for name, links := range f.links {
		for place, l := range links {
			if t.Target != place && (t.Target != name || !slices.Contains(t.Places, place)) {
				continue
			}
			all.Go(func() {
				switch t.Kind {
				case cutLink:
					errs <- l.cut(over)
				case snapLink:
					errs <- l.snap(over)
				default:
					errs <- l.suffer(t.Toxic, over)
				}
			})
		}
	}
	all.Wait()
	close(errs)
	var first error
	for err := range errs {
		first = errors.Join(first, err)
	}
	return first
}

// step moves the clock of the stores for all processes at the same time, as if it were the servers'.
func (f *farm) step(ctx context.Context, d time.Duration) error {
	for _, line := range []string{"hold", "shift " + d.String()} {
		errs := make(chan error, len(workerNames))
		for _, name := range workerNames {
			go func() { errs <- f.process(name).tell(ctx, line) }()
		}
		var first error
		for range workerNames {
			first = errors.Join(first, <-errs)
		}
		if first != nil {
			return first
		}
	}
	f.clock.move(d)
	return nil
}

func (f *farm) rest(ctx context.Context) error { return f.stop(ctx, producerNames) }

func (f *farm) end(ctx context.Context) error { return f.stop(ctx, runnerNames) }

func (f *farm) stop(ctx context.Context, names []string) error {
	errs := make(chan error, len(names))
	for _, name := range names {
		go func() { errs <- f.process(name).stop(ctx) }()
	}
	var first error
	for range names {
		first = errors.Join(first, <-errs)
	}
	return first
}
