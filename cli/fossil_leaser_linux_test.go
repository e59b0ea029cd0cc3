package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A leaser is a system that runs something once a minute at most: Fossil's backoffice, or jobctl ondemand.
type leaser struct {
	*testing.T
	ours    bool
	dir     string
	env     []string
	run     []string         // the command that runs it
	show    []string         // the command that shows the lease as four numbers
	without string           // the capability that processes of root have not
	who     map[int64]string // the names of its processes

	steps []string // what was noted
	last  look     // the one that was noted last
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
	s.last.at = time.Now()
	return s
}

// newOurs returns a farm of one domain, whose rules are Fossil's.
func newOurs(t *testing.T) *leaser {
	s := &leaser{T: t, ours: true, dir: t.TempDir(), who: map[int64]string{}, env: append(os.Environ(), "GORACE=atexit_sleep_ms=0")}
	s.use("interval: 60s, ttl: 60s")
	s.must("wiki", "push", "--config", "farm.yaml", "--type", "null")
	s.last.at = time.Now()
	return s
}

// use has what our farm does from now on follow other rules.
func (s *leaser) use(rules string) {
	s.Helper()
	s.run = []string{"wiki", "ondemand", "run", "--config", "farm.yaml"}
	s.show = []string{"wiki", "lease", "show", "--fossil", "--config", "farm.yaml"}
	text := "domains: [only]\nbackends: {main: {kind: sqlite, path: jobs.db}}\nondemand: {" + rules + "}\n"
	if err := os.WriteFile(filepath.Join(s.dir, "farm.yaml"), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// command returns a command that runs where the system is, and what it prints.
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
	args := slices.Concat(s.run, []string{"--trace"}, flags)
	if s.without != "" && os.Geteuid() == 0 {
		args = append([]string{"setpriv", "--bounding-set", "-" + s.without}, args...)
	}
	c, out := s.command(args...)
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { kill(c) })
	s.who[int64(c.Process.Pid)] = name
	return c, out
}

// decided finds in what --trace prints what a process has decided.
var decided = regexp.MustCompile(`(?i)\b(begin|on-deck|not needed|no-delay exit)\b`)

// once runs a process with a name to its end, and notes what it has decided and the lease.
func (s *leaser) once(name string, flags ...string) {
	s.Helper()
	s.finish(s.begin(name, flags...))
}

// finish waits for a process, 30 s at most, and notes what it has decided and the lease.
func (s *leaser) finish(c *exec.Cmd, out *bytes.Buffer) {
	s.Helper()
	name := s.who[int64(c.Process.Pid)]
	late := time.AfterFunc(30*time.Second, func() { c.Process.Kill() })
	defer late.Stop()
	if err := c.Wait(); err != nil {
		s.Fatalf("%s: %v\n%s", name, err, out)
	}
	words := decided.FindAllString(strings.ToLower(out.String()), -1)
	s.note(strings.Join(append([]string{name}, slices.Compact(words)...), ", "))
}

// onDeck starts a process with a name and waits until it is on deck.
func (s *leaser) onDeck(name string) (*exec.Cmd, *bytes.Buffer) {
	s.Helper()
	c, out := s.begin(name)
	s.until(name+" on deck", func() bool { return strings.Contains(s.state(), ", "+name+" ") })
	return c, out
}

// until waits for something.
func (s *leaser) until(what string, is func() bool) {
	s.Helper()
	for late := time.Now().Add(30 * time.Second); !is(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(late) {
			s.Fatalf("not %s within 30 s: %s", what, s.state())
		}
	}
}

// log returns what is in the log.
func (s *leaser) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		s.Fatal(err)
	}
	return string(text)
}

// kill kills a process, and waits for it.
func kill(c *exec.Cmd) {
	c.Process.Kill()
	c.Wait()
}

// ended reports whether a process has ended, whether or not it was waited for.
func ended(c *exec.Cmd) bool {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	return err != nil || bytes.Contains(state, []byte(") Z "))
}
