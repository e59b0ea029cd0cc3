package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// setting switches something on.
func (s *leaser) setting(name string) {
	s.Helper()
	if s.ours {
		s.use(map[string]string{"nodelay": "noDelay: true", "disable": "disable: true"}[name])
	} else {
		s.must("fossil", "settings", "backoffice-"+name, "on", "-R", "repo")
	}
}

// mode changes who may write, also to the files beside a database, which are made as that is.
func (s *leaser) mode(m os.FileMode) {
	s.Helper()
	file := "repo*"
	if s.ours {
		file = "jobs.db*"
	}
	files, err := filepath.Glob(filepath.Join(s.dir, file))
	if err != nil || len(files) == 0 {
		s.Fatal(files, err)
	}
	for _, file := range files {
		if err := os.Chmod(file, m); err != nil {
			s.Fatal(err)
		}
	}
}

// reset makes both places free.
func (s *leaser) reset() {
	s.Helper()
	if s.ours {
		s.must("wiki", "lease", "reset", "--config", "farm.yaml")
	} else {
		s.must("fossil", "test-backoffice-lease", "--reset", "-R", "repo")
	}
}

// set writes Fossil's lease.
func (s *leaser) set(numbers ...int64) {
	s.Helper()
	lease := strings.Trim(fmt.Sprint(numbers), "[]")
	s.must("fossil", "sql", "-R", "repo", "replace into config (name, value, mtime) values ('backoffice', '"+lease+"', now())")
}

// age makes the lease older.
func (s *leaser) age(d time.Duration) {
	s.Helper()
	passed := int64(d.Seconds())
	if s.ours {
		s.farm(func(b *sqlite.Backend) {
			v := s.value(b)
			b.Shift(-d - v.Age)
			s.replace(b, v)
		})
	} else if current, turn, next, expires := s.numbers(); next == 0 {
		s.set(current, turn-passed, 0, 0)
	} else {
		s.set(current, turn-passed, next, expires-passed)
	}
	s.last.at, s.last.turn = time.Now(), s.last.turn-passed
}

// working returns a process that is at work.
func (s *leaser) working() *exec.Cmd {
	s.Helper()
	if s.ours {
		s.must("wiki", "push", "--config", "farm.yaml", "--type", "holds", "--params", `{"Started": "started"}`)
		c, _ := s.begin("holder")
		s.until("at work", func() bool {
			_, err := os.Stat(filepath.Join(s.dir, "started"))
			return err == nil
		})
		return c
	}
	c, _ := s.command("sleep", "1000") // Fossil asks for no more of it than its number
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { kill(c) })
	s.who[int64(c.Process.Pid)] = "holder"
	s.set(int64(c.Process.Pid), time.Now().Unix()+60, 0, 0)
	return c
}

// overdue returns a process that is at work, and whose minute is over.
func (s *leaser) overdue() *exec.Cmd {
	s.Helper()
	c := s.working()
	s.patient()
	s.age(62 * time.Second)
	return c
}

// held has a process hold the lease that is not one of the system, and whose minute is over.
func (s *leaser) held(pid int) {
	s.Helper()
	s.who[int64(pid)] = "holder"
	if s.ours {
		s.farm(func(b *sqlite.Backend) {
			leases := lease.Store{Control: b}
			g, err := leases.Take(s.Context(), "only", lease.Party{ID: "holder", Owner: fmt.Sprintf("host:%d", pid)}, false)
			if err != nil || g.Place != lease.Current {
				s.Fatal(g, err)
			}
		})
		s.patient()
	} else {
		s.set(int64(pid), time.Now().Unix()+60, 0, 0)
	}
	s.age(62 * time.Second)
}

// patient has our farm take who has given no sign of life for a minute for alive.
func (s *leaser) patient() {
	if s.ours {
		s.use("interval: 60s, ttl: 10m")
	}
}

// forgetful has our farm take who has given no sign of life for a minute for dead.
func (s *leaser) forgetful() {
	if s.ours {
		s.use("interval: 60s, ttl: 30s")
	}
}

// garble writes what is no lease where there was one.
func (s *leaser) garble() {
	s.Helper()
	if !s.ours {
		s.must("fossil", "sql", "-R", "repo", "update config set value = 'abc def' where name = 'backoffice'")
		return
	}
	s.farm(func(b *sqlite.Backend) {
		v := s.value(b)
		v.Data = []byte("abc def")
		s.replace(b, v)
	})
}

// farm opens our farm's store.
func (s *leaser) farm(do func(b *sqlite.Backend)) {
	s.Helper()
	b, err := sqlite.Open(filepath.Join(s.dir, "jobs.db"), nil)
	if err != nil {
		s.Fatal(err)
	}
	defer b.Close()
	do(b)
}

// value returns our lease as it is stored.
func (s *leaser) value(b *sqlite.Backend) jobqueue.Value {
	s.Helper()
	values, err := b.Values(s.Context(), "lease/")
	if err != nil || len(values) != 1 {
		s.Fatalf("%d leases, %v", len(values), err)
	}
	return values[0]
}

// replace stores our lease.
func (s *leaser) replace(b *sqlite.Backend, v jobqueue.Value) {
	s.Helper()
	if _, ok, err := b.SetValue(s.Context(), jobqueue.Value{Key: v.Key, Data: v.Data, Version: jobqueue.AnyVersion}); err != nil || !ok {
		s.Fatal(ok, err)
	}
}

// anothers returns a process of another user: root starts one of nobody, and process 1 is that of nobody else.
func anothers(t *testing.T) int {
	if os.Geteuid() != 0 {
		return 1
	}
	c := exec.Command("sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(c) })
	return c.Process.Pid
}
