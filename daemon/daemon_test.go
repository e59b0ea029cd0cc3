package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/control"
	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A farm has a file that holds one word, which its jobs note as they run.
type farm struct {
	t       *testing.T
	backend *queuememory.Backend
	file    string
	level   slog.LevelVar
	log     lines
	read    atomic.Int64 // configurations
	closed  atomic.Int64
	options runner.Options
	away    atomic.Bool // the store of a new configuration

	mu      sync.Mutex
	ran     map[string]string // by job: the word at its start
	twice   []string
	running int
	most    int
}

// lines is a log that many goroutines write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func newFarm(t *testing.T, o runner.Options) *farm {
	f := &farm{t: t, backend: queuememory.New(), file: filepath.Join(t.TempDir(), "farm"), options: o, ran: map[string]string{}}
	f.write("one")
	return f
}

func (f *farm) write(word string) {
	f.t.Helper()
	if err := os.WriteFile(f.file+".new", []byte(word), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.file+".new", f.file); err != nil {
		f.t.Fatal(err)
	}
}

// A job notes the word of its generation, and runs for as long as its parameters say.
type job struct {
	Key  string
	Time time.Duration
	f    *farm
	word string
}

func (*job) Type() string { return "note" }

func (j *job) Run(ctx context.Context) error {
	f := j.f
	f.mu.Lock()
	if _, ok := f.ran[j.Key]; ok {
		f.twice = append(f.twice, j.Key)
	}
	f.ran[j.Key] = j.word
	f.running++
	f.most = max(f.most, f.running)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running--
	}()
	select {
	case <-time.After(j.Time):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *farm) next(context.Context) (*daemon.Generation, error) {
	text, err := os.ReadFile(f.file)
	if err != nil {
		return nil, err
	}
	word := string(text)
	switch {
	case word == "bad":
		return nil, errors.New("farm:1: bad is no word")
	case f.away.Load():
		return nil, fmt.Errorf("backend new: %w", jobqueue.ErrUnavailable)
	}
	f.read.Add(1)
	g := &daemon.Generation{
		Group:    jobqueue.NewGroup("home", jobqueue.Routes{Default: f.backend}),
		Registry: &jobqueue.Registry{},
		Options:  f.options,
		Knows:    func(domain string) bool { return domain == word },
		Close:    func() error { f.closed.Add(1); return nil },
	}
	g.Options.Logger = slog.New(slog.DiscardHandler)
	g.Registry.Add(func() jobqueue.Job { return &job{f: f, word: word} }, jobqueue.Policy{Timeout: 48 * time.Hour})
	return g, nil
}

func (f *farm) push(key string, d time.Duration) {
	f.t.Helper()
	g := jobqueue.NewGroup("home", jobqueue.Routes{Default: f.backend})
	if _, err := g.Push(f.t.Context(), jobqueue.Spec{Job: &job{Key: key, Time: d}}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *farm) word(key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ran[key]
}

// An end is how a daemon ended.
type end struct {
	*runner.Result
	order daemon.Order
}

func (f *farm) start(ctx context.Context, change ...func(*daemon.Options)) <-chan end {
	o := daemon.Options{Next: f.next, Files: []string{f.file}, Level: &f.level, Owner: "host:1", Logger: slog.New(slog.NewTextHandler(&f.log, nil))}
	for _, c := range change {
		c(&o)
	}
	ended := make(chan end, 1)
	go func() {
		res, order := daemon.Run(ctx, o)
		ended <- end{res, order}
	}()
	return ended
}

// command gives a command and returns the only answer to it, or its error.
func (f *farm) command(verb string, args ...string) string {
	f.t.Helper()
	id, err := control.Send(f.t.Context(), f.backend, control.Command{Verb: verb, Args: args, By: "test"})
	if err != nil {
		f.t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	answers, err := control.Answers(f.t.Context(), f.backend, id)
	if err != nil || len(answers) != 1 {
		f.t.Fatalf("%v, %v, want one answer to %s", answers, err, verb)
	}
	if a := answers[0]; a.Err != "" {
		return "error: " + a.Err
	}
	return answers[0].Text
}

func bubble(t *testing.T, o runner.Options, test func(f *farm)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newFarm(t, o)) })
}

// What is pushed after the file has changed runs with it; a file that is wrong changes nothing.
func TestFollow(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		ctx, stop := context.WithCancel(f.t.Context())
		ended := f.start(ctx)
		for i, word := range []string{"one", "two", "bad", "three"} {
			f.write(word)
			time.Sleep(time.Second)
			key := strconv.Itoa(i)
			f.push(key, time.Second)
			time.Sleep(5 * time.Second)
			if word == "bad" {
				word = "two"
			}
			if got := f.word(key); got != word {
				f.t.Errorf("job %d ran with %q, want %q", i, got, word)
			}
		}
		if n := f.log.count("bad is no word"); n != 1 {
			f.t.Errorf("the log names the mistake %d times, want once", n)
		}
		stop()
		res := <-ended
		if res.Reached != runner.Stopped || res.order != daemon.NoOrder || res.Counts.Done != 4 {
			f.t.Errorf("%v and order %v, want 4 done and no order", res.Result, res.order)
		}
		if f.closed.Load() != f.read.Load() {
			f.t.Errorf("%d configurations were closed of %d", f.closed.Load(), f.read.Load())
		}
	})
}

// A hundred changes while jobs of all lengths run: each runs once, there are never more at once than workers, and what
// runs long is not interrupted.
func TestManyChanges(t *testing.T) {
	for name, o := range map[string]runner.Options{
		"all":    {Workers: 5},
		"groups": {Groups: []schedule.Group{{Name: "g", Workers: 5, Include: []string{"note"}}}},
		"none":   {Groups: []schedule.Group{{Name: "g", Workers: 5, Include: []string{"x"}}}, Types: []string{"note"}},
		"few":    {Groups: []schedule.Group{{Name: "g", Workers: 9, Include: []string{"note"}}}, Workers: 5},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, o, func(f *farm) {
				const jobs = 2000
				f.push("long", time.Hour)
				for i := range jobs {
					f.push(strconv.Itoa(i), time.Duration(i%7)*30*time.Millisecond)
				}
				ctx, stop := context.WithCancel(f.t.Context())
				ended := f.start(ctx)
				for i := range 100 {
					time.Sleep(600 * time.Millisecond)
					f.write("word" + strconv.Itoa(i))
				}
				time.Sleep(10 * time.Minute)
				f.push("last", 0)
				time.Sleep(50 * time.Minute)
				if got := f.word("last"); got != "word99" {
					t.Errorf("the last job ran with %q, want word99", got)
				}
				if n := f.read.Load(); n < 80 {
					t.Errorf("%d configurations were read, want about 100", n)
				}
				stop()
				res := <-ended
				// What was claimed ahead is given back at each change.
				if res.Counts != (runner.Counts{Done: jobs + 2, GivenBack: res.Counts.GivenBack}) {
					t.Errorf("%v, want all done", res.Result)
				}
				if len(f.twice) > 0 || len(f.ran) != jobs+2 {
					t.Errorf("%d jobs ran, and twice: %v", len(f.ran), f.twice)
				}
				if f.most != 5 {
					t.Errorf("%d jobs ran at once, want 5", f.most)
				}
			})
		})
	}
}

// A new configuration whose store is away is tried again until it can be reached.
func TestAway(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		f.start(f.t.Context())
		time.Sleep(time.Second)
		f.away.Store(true)
		f.write("two")
		time.Sleep(time.Minute)
		f.push("a", 0)
		time.Sleep(5 * time.Second)
		f.away.Store(false)
		time.Sleep(6 * time.Second)
		f.push("b", 0)
		time.Sleep(5 * time.Second)
		if a, b := f.word("a"), f.word("b"); a != "one" || b != "two" {
			f.t.Errorf("the jobs ran with %q and %q, want one and two", a, b)
		}
		if n := f.log.count("not used"); n != 1 {
			f.t.Errorf("the log says %d times that the configuration is not used, want once", n)
		}
		f.away.Store(true)
		f.write("three")
		time.Sleep(time.Minute)
		f.write("bad")
		time.Sleep(time.Minute)
		if n := f.log.count("bad is no word"); n != 1 {
			f.t.Errorf("the log names a mistake %d times that was made while a store was away, want once", n)
		}
	})
}

// A first configuration that is wrong ends the daemon.
func TestFirst(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		f.write("bad")
		if res := <-f.start(f.t.Context()); res.Err == nil || !strings.Contains(res.Err.Error(), "bad is no word") {
			f.t.Errorf("it ended with %v, want the mistake", res.Err)
		}
	})
}

// Limits of a run hold over all generations.
func TestLimits(t *testing.T) {
	for name, o := range map[string]runner.Options{"jobs": {MaxJobs: 30, Workers: 1}, "time": {MaxTime: 30 * time.Second, Workers: 1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, o, func(f *farm) {
				for i := range 100 {
					f.push(strconv.Itoa(i), time.Second)
				}
				ended := f.start(f.t.Context())
				for i := range 5 {
					time.Sleep(4 * time.Second)
					f.write("word" + strconv.Itoa(i))
				}
				res := <-ended
				want := map[string]runner.Reason{"jobs": runner.JobLimit, "time": runner.TimeLimit}[name]
				if res.Reached != want || res.Counts.Done < 29 || res.Counts.Done > 31 {
					f.t.Errorf("%v, want %s after about 30 jobs", res.Result, want)
				}
			})
		})
	}
}

// Every command does what it says, and is answered.
func TestCommands(t *testing.T) {
	bubble(t, runner.Options{Workers: 2}, func(f *farm) {
		ended := f.start(f.t.Context())
		time.Sleep(2 * time.Second)
		for i := range 10 {
			f.push(strconv.Itoa(i), time.Hour)
		}
		time.Sleep(time.Second)
		for _, want := range []struct{ answer, command string }{
			{"generation 2", "reload"},
			{"generation 3", "update one"},
			{`error: domain "xx" is not one of the farm's`, "update xx"},
			{"generation 4, 4 workers", "workers  4"},
			{`error: there is no group "video", all types share the same workers`, "workers video 4"},
			{`error: the number of workers must be 1 to 1000, not "0"`, "workers  0"},
			{"log level debug", "log-level debug"},
			{`error: the level must be debug, info, warn or error, not "loud"`, "log-level loud"},
			{"pauses hold", "pauses"},
			{`error: unknown command "dance"`, "dance"},
			{"error: command reload with 1 arguments, it takes 0", "reload now"},
		} {
			words := strings.Split(want.command, " ")
			if got := f.command(words[0], words[1:]...); got != want.answer {
				t.Errorf("%s: %q, want %q", want.command, got, want.answer)
			}
		}
		if f.level.Level() != slog.LevelDebug {
			t.Errorf("the level is %v, want debug", f.level.Level())
		}
		f.mu.Lock()
		if f.running != 4 {
			t.Errorf("%d jobs run, want as many as there are workers now", f.running)
		}
		f.mu.Unlock()
		all, err := runner.Runners(t.Context(), jobqueue.NewGroup("home", jobqueue.Routes{Default: f.backend}))
		if err != nil {
			t.Fatal(err)
		}
		var generations []int
		for _, p := range all {
			if p.Process == "" || p.Process != all[0].Process || p.Owner != "host:1" {
				t.Errorf("a runner says %+v, want the id of its process", p)
			}
			generations = append(generations, p.Generation)
		}
		if slices.Sort(generations); !slices.Equal(generations, []int{1, 4}) {
			t.Errorf("runners of the generations %v are alive, want those that have jobs", generations)
		}
		if got := f.command("stop"); got != "stopping" {
			t.Errorf("stop: %q", got)
		}
		if res := <-ended; res.order != daemon.Stop || res.Reached != runner.Stopped {
			t.Errorf("%v, order %v, want to be stopped", res.Result, res.order)
		}
	})
}

func TestRestart(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		ended := f.start(f.t.Context())
		time.Sleep(2 * time.Second)
		if got := f.command("restart"); got != "restarting" {
			t.Errorf("restart: %q", got)
		}
		if res := <-ended; res.order != daemon.Restart {
			t.Errorf("%v, order %v, want a restart", res.Result, res.order)
		}
		// The process that is started next does not obey it again.
		ctx, stop := context.WithCancel(f.t.Context())
		ended = f.start(ctx)
		time.Sleep(time.Minute)
		stop()
		if res := <-ended; res.order != daemon.NoOrder {
			t.Errorf("the next process was told to %v", res.order)
		}
	})
}

// A signal has the configuration read though no file has changed.
func TestReload(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		signals := make(chan os.Signal)
		f.start(f.t.Context(), func(o *daemon.Options) { o.Reload = signals })
		time.Sleep(time.Second)
		signals <- os.Interrupt
		time.Sleep(time.Second)
		if n := f.read.Load(); n != 2 {
			f.t.Errorf("the configuration was read %d times, want twice", n)
		}
	})
}
