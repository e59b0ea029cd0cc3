package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A leaser is a system that runs something once a minute at most: Fossil's backoffice, or jobctl ondemand.
type leaser struct {
	*testing.T
	dir  string
	run  []string         // the command that runs it
	show []string         // the command that shows the lease as four numbers
	who  map[int64]string // the names of its processes
	env  []string
}

// newFossil returns a repository.
func newFossil(t *testing.T) *leaser {
	if _, err := exec.LookPath("fossil"); err != nil {
		t.Fatal("there is no fossil here: make server installs it, from Debian's package")
	}
	s := &leaser{T: t, dir: t.TempDir(), who: map[int64]string{}}
	s.env = append(os.Environ(), "HOME="+s.dir, "USER=root")
	s.run = []string{"fossil", "backoffice", "repo"}
	s.show = []string{"fossil", "sql", "-R", "repo", "select coalesce((select value from config where name = 'backoffice'), '0 0 0 0')"}
	s.must("fossil", "init", "--admin-user", "root", "repo")
	return s
}

// newOurs returns a farm of one domain, whose rules are Fossil's; short.yaml is for what is to be over soon.
func newOurs(t *testing.T) *leaser {
	s := &leaser{T: t, dir: t.TempDir(), who: map[int64]string{}, env: append(os.Environ(), "GORACE=atexit_sleep_ms=0")}
	s.run = []string{"wiki", "ondemand", "run", "--config", "farm.yaml"}
	s.show = []string{"wiki", "lease", "show", "--fossil", "--config", "farm.yaml"}
	for name, rules := range map[string]string{"farm": "interval: 60s, ttl: 60s", "short": "interval: 2s, ttl: 60s", "brief": "interval: 60s, ttl: 1s"} {
		text := "domains: [only]\nbackends: {main: {kind: sqlite, path: jobs.db}}\nondemand: {" + rules + "}\n"
		if err := os.WriteFile(filepath.Join(s.dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.must("wiki", "push", "--config", "farm.yaml", "--type", "null")
	return s
}

// command returns a command that runs where the system is.
func (s *leaser) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	c, out := exec.Command(args[0], args[1:]...), &bytes.Buffer{}
	c.Dir, c.Env, c.Stdout, c.Stderr = s.dir, s.env, out, out
	return c, out
}

// must runs a command and returns what it prints.
func (s *leaser) must(args ...string) string {
	s.Helper()
	c, out := s.command(args...)
	if err := c.Run(); err != nil {
		s.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.Trim(strings.TrimSpace(out.String()), "'")
}

// begin starts a process with a name.
func (s *leaser) begin(name string, flags ...string) (*exec.Cmd, *bytes.Buffer) {
	s.Helper()
	c, out := s.command(append(append([]string{}, s.run...), flags...)...)
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Process.Kill(); c.Wait() })
	s.who[int64(c.Process.Pid)] = name
	return c, out
}

// once runs a process with a name to its end.
func (s *leaser) once(name string, flags ...string) {
	s.Helper()
	c, out := s.begin(name, flags...)
	if err := c.Wait(); err != nil {
		s.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// onDeck starts a process with a name and waits until it is on deck.
func (s *leaser) onDeck(name string) *exec.Cmd {
	s.Helper()
	c, _ := s.begin(name)
	s.until(name+" on deck", func() bool { return strings.Contains(s.state(), ", "+name+" ") })
	return c
}

func (s *leaser) until(what string, is func() bool) {
	s.Helper()
	for late := time.Now().Add(30 * time.Second); !is(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(late) {
			s.Fatalf("not %s within 30 s: %s", what, s.state())
		}
	}
}

// numbers returns the lease.
func (s *leaser) numbers() (current, turn, next, expires int64) {
	s.Helper()
	text := s.must(s.show...)
	if _, err := fmt.Sscan(text, &current, &turn, &next, &expires); err != nil {
		s.Fatalf("the lease is %q: %v", text, err)
	}
	return current, turn, next, expires
}

// state returns the lease with names, and the seconds until the turn of who is on deck and from that until it counts as late.
func (s *leaser) state() string {
	s.Helper()
	current, turn, next, expires := s.numbers()
	name := func(pid int64) string {
		if pid == 0 {
			return "nobody"
		}
		if n, ok := s.who[pid]; ok {
			return n
		}
		return "another"
	}
	text := name(current)
	if current != 0 {
		d := turn - time.Now().Unix()
		for _, near := range []int64{0, 60} { // to which it rounds, as commands take their time
			if near-5 <= d && d <= near+1 {
				d = near
			}
		}
		text += fmt.Sprintf(" %+d", d)
	}
	text += ", " + name(next)
	if next != 0 {
		text += fmt.Sprintf(" %+d", expires-turn)
	}
	return text
}

// TestFossil has Fossil's backoffice and jobctl ondemand do the same, and compares what becomes of their leases.
func TestFossil(t *testing.T) {
	both := func(name string, do func(s *leaser) (states []string), fossil, ours []string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, system := range []struct {
				name string
				make func(*testing.T) *leaser
				want []string
			}{{"fossil", newFossil, fossil}, {"jobctl", newOurs, ours}} {
				t.Run(system.name, func(t *testing.T) {
					t.Parallel()
					got := do(system.make(t))
					if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", system.want) {
						t.Errorf("the lease was\n%q, want\n%q", got, system.want)
					}
				})
			}
		})
	}
	alike := func(name string, do func(s *leaser) []string, want ...string) { both(name, do, want, want) }

	alike("Rate", func(s *leaser) (states []string) {
		note := func() { states = append(states, s.state()) }
		note()
		s.once("first")
		note() // it has ended early, and keeps its minute
		s.once("hasty", "--nodelay")
		note()
		s.onDeck("second")
		note()
		s.once("third") // is not needed
		note()
		s.once("beside", "--nolease")
		note()
		return states
	}, "nobody, nobody", "first +60, nobody", "first +60, nobody", "first +60, second +60", "first +60, second +60", "first +60, second +60")

	alike("Turn", func(s *leaser) (states []string) {
		s.nearlyOver()
		c := s.onDeck("second")
		if err := c.Wait(); err != nil {
			s.Error(err)
		}
		return []string{s.state()}
	}, "second +60, nobody")

	alike("Dead holder", func(s *leaser) (states []string) {
		s.deadHolder()
		s.once("next")
		return []string{s.state()}
	}, "next +60, nobody")

	alike("Living holder", func(s *leaser) (states []string) {
		s.livingHolder()
		s.once("next", "--nodelay")
		return []string{s.state()}
	}, "holder +0, nobody")

	alike("Reset", func(s *leaser) (states []string) {
		s.once("first")
		s.onDeck("second")
		s.reset()
		states = append(states, s.state())
		s.once("third", "--nodelay")
		return append(states, s.state())
	}, "nobody, nobody", "third +60, nobody")

	// Fossil asks the system whether a process exists, and jobctl whether somebody has given a sign of life.
	both("Dead on deck", func(s *leaser) (states []string) {
		s.once("first")
		c := s.onDeck("second")
		c.Process.Kill()
		c.Wait()
		c, _ = s.begin("third")
		s.until("a third process that has decided", func() bool {
			return strings.Contains(s.state(), "third") || s.ended(c)
		})
		return []string{s.state()}
	}, []string{"first +60, third +60"}, []string{"first +60, second +60"})

	// What nobody can read is nobody's lease for Fossil, and one that somebody has just taken for jobctl.
	both("Garbage", func(s *leaser) (states []string) {
		s.garble()
		s.once("next", "--nodelay")
		return []string{s.state()}
	}, []string{"next +60, nobody"}, []string{"another +60, nobody"})
}

// ours reports whether the system is jobctl.
func (s *leaser) ours() bool { return s.run[0] == "wiki" }

// set writes Fossil's lease, with a time from now.
func (s *leaser) set(pid int, in time.Duration) {
	s.Helper()
	s.must("fossil", "sql", "-R", "repo", fmt.Sprintf("replace into config (name, value, mtime) values ('backoffice', '%d %d 0 0', now())", pid, time.Now().Add(in).Unix()))
}

// nearlyOver makes the minute of who has run, and ended, over soon.
func (s *leaser) nearlyOver() {
	s.Helper()
	if s.ours() {
		s.must("wiki", "ondemand", "run", "--config", "short.yaml")
		return
	}
	s.once("first")
	pid, _, _, _ := s.numbers()
	s.set(int(pid), 2*time.Second)
}

// livingHolder returns a process that is at work, and whose interval is over.
func (s *leaser) livingHolder() *exec.Cmd {
	s.Helper()
	if !s.ours() {
		c, _ := s.command("sleep", "1000")
		if err := c.Start(); err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { c.Process.Kill(); c.Wait() })
		s.who[int64(c.Process.Pid)] = "holder"
		s.set(c.Process.Pid, -time.Second)
		return c
	}
	s.must("wiki", "push", "--config", "farm.yaml", "--type", "holds", "--params", `{"Started": "started"}`)
	run := s.run
	s.run = []string{"wiki", "ondemand", "run", "--config", "short.yaml"}
	c, _ := s.begin("holder")
	s.run = run
	s.until("a process whose interval is over", func() bool {
		_, turn, _, _ := s.numbers()
		return turn > 0 && turn < time.Now().Unix()
	})
	return c
}

// deadHolder has a process die at work, whose interval is over.
func (s *leaser) deadHolder() {
	s.Helper()
	c := s.livingHolder()
	c.Process.Kill()
	c.Wait()
	if s.ours() {
		s.run = []string{"wiki", "ondemand", "run", "--config", "brief.yaml"} // it counts as dead after a second
	}
}

func (s *leaser) reset() {
	s.Helper()
	if s.ours() {
		s.must("wiki", "lease", "reset", "--config", "farm.yaml")
	} else {
		s.must("fossil", "test-backoffice-lease", "--reset", "-R", "repo")
	}
}

// garble writes what is no lease where there was one.
func (s *leaser) garble() {
	s.Helper()
	s.once("first")
	if !s.ours() {
		s.must("fossil", "sql", "-R", "repo", "update config set value = 'abc def' where name = 'backoffice'")
		return
	}
	b, err := sqlite.Open(filepath.Join(s.dir, "jobs.db"), nil)
	if err != nil {
		s.Fatal(err)
	}
	defer b.Close()
	values, err := b.Values(s.Context(), "lease/")
	if err != nil || len(values) != 1 {
		s.Fatalf("%d leases, %v", len(values), err)
	}
	if _, ok, err := b.SetValue(s.Context(), jobqueue.Value{Key: values[0].Key, Data: []byte("abc def"), Version: jobqueue.AnyVersion}); err != nil || !ok {
		s.Fatal(ok, err)
	}
}

// ended reports whether a process has ended, and is waited for no more.
func (s *leaser) ended(c *exec.Cmd) bool {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	return err != nil || bytes.Contains(state, []byte(") Z "))
}

// A process that has ended and that nobody has waited for keeps Fossil's place on deck, since it exists. Ours is free when
// it gives no sign of life, whatever the system says of it.
func TestFossilZombie(t *testing.T) {
	s := newFossil(t)
	s.once("first")
	c := s.onDeck("zombie")
	c.Process.Kill()
	s.until("zombie", func() bool { return s.ended(c) })
	s.once("next")
	if got, want := s.state(), "first +60, zombie +60"; got != want {
		t.Errorf("the lease is %s, want %s", got, want)
	}
}

// Fossil runs after the replies that FossilTrigger names.
func TestFossilTrigger(t *testing.T) {
	s := newFossil(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	c, _ := s.command("fossil", "server", "--localhost", "--nojail", "--port", fmt.Sprint(addr.Port), "repo")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, test := range []struct {
		path   string
		status int
	}{{"/nosuch", 404}, {"/", 302}, {"/timeline", 200}} {
		var answer *http.Response
		s.until("served", func() bool {
			answer, err = client.Get(fmt.Sprintf("http://%s%s", addr, test.path))
			return err == nil
		})
		// It does not run anything after a reply that is not read.
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != test.status {
			t.Fatalf("%s: %s, want %d", test.path, answer.Status, test.status)
		}
		if ondemand.FossilTrigger(test.status) {
			s.until("run after "+test.path, func() bool { return s.state() != "nobody, nobody" })
		} else if got := s.state(); got != "nobody, nobody" {
			t.Errorf("%s: the lease is %s", test.path, got)
		}
	}
}
