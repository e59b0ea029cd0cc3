//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
)

// TestMain is a guestbook, too.
func TestMain(m *testing.M) {
	if os.Getenv("GUESTBOOK") != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A shop is a folder with a farm file and a book, and the replicas that serve it.
type shop struct {
	*testing.T
	dir      string
	replicas []*replica
	book     *book
}

type replica struct {
	cmd    *exec.Cmd
	url    string
	stderr bytes.Buffer
}

func newShop(t *testing.T, replicas int, args ...string) *shop {
	s := &shop{T: t, dir: t.TempDir()}
	t.Cleanup(s.left)
	farm := `domains: [cats, dogs]
backends: {main: {kind: sqlite, path: jobs.db}}
default: {lease: 2s}
ondemand: {interval: 1s, ttl: 2s, logFile: runs.log}
`
	err := os.WriteFile(filepath.Join(s.dir, "farm.yaml"), []byte(farm), 0o600)
	if err == nil {
		s.book, err = openBook(t.Context(), filepath.Join(s.dir, "guestbook.db"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.book.Close() })
	for range replicas {
		s.start(args...)
	}
	return s
}

// left waits until all processes have left the folder, also those that a replica has started.
func (s *shop) left() {
	for late := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		all, err := filepath.Glob("/proc/[0-9]*/cwd")
		if err != nil {
			s.Fatal(err)
		}
		if !slices.ContainsFunc(all, func(link string) bool { to, _ := os.Readlink(link); return to == s.dir }) {
			return
		}
		if time.Now().After(late) {
			s.Fatal("there are still processes in the folder")
		}
	}
}

// start starts a replica.
func (s *shop) start(args ...string) {
	s.Helper()
	r := &replica{cmd: exec.Command(os.Args[0], append([]string{"--addr", "127.0.0.1:0"}, args...)...)}
	r.cmd.Dir, r.cmd.Stderr = s.dir, &r.stderr
	r.cmd.Env = append(os.Environ(), "GUESTBOOK=1", "GUESTBOOK_SECRET=meow", "GORACE=atexit_sleep_ms=0")
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { r.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Fatalf("a replica does not start: %v\n%s", err, r.stderr.String())
	}
	r.url = strings.TrimSpace(line)
	s.replicas = append(s.replicas, r)
}

// ask asks a replica and returns the status, 0 if there is no answer, and the text.
func (s *shop) ask(replica int, path string, form url.Values) (int, string) {
	s.Helper()
	var answer *http.Response
	var err error
	if where := s.replicas[replica].url + path; form == nil {
		answer, err = http.Get(where)
	} else {
		answer, err = http.PostForm(where, form)
	}
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// number returns what a query of the book returns.
func (s *shop) number(query string, args ...any) (n int) {
	s.Helper()
	if err := s.book.QueryRowContext(s.Context(), query, args...).Scan(&n); err != nil {
		s.Fatal(err)
	}
	return n
}

// until visits the books at each replica in turn until something is so.
func (s *shop) until(what string, is func() bool) {
	s.Helper()
	late := time.Now().Add(time.Minute)
	for n := 0; !is(); n++ {
		if time.Now().After(late) {
			s.Fatalf("no %s within a minute", what)
		}
		<-time.After(20 * time.Millisecond)
		for _, domain := range []string{"cats", "dogs"} {
			if status, text := s.ask(n%len(s.replicas), "/"+domain+"/", nil); status != http.StatusOK {
				s.Fatalf("GET %s: %d %s", domain, status, text)
			}
		}
	}
}

// stop stops a replica as a service manager does.
func (s *shop) stop(replica int) {
	s.Helper()
	r := s.replicas[replica]
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		s.Errorf("replica %d: %v\n%s", replica, err, r.stderr.String())
	}
}

// open opens the queues and leases that the replicas have.
func (s *shop) open() (*config.Queues, *lease.Store) {
	s.Helper()
	farm, err := config.Load(filepath.Join(s.dir, "farm.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &greet{} }, jobqueue.Policy{})
	queues, err := farm.Open(s.Context(), reg)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { queues.Close() })
	leases, err := farm.Leases(queues)
	if err != nil {
		s.Fatal(err)
	}
	return queues, leases
}

// audit sees to it that no two runs were at once or too near to each other, and returns how many there were.
func (s *shop) audit() int {
	s.Helper()
	_, leases := s.open()
	all, err := leases.All(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	r := ondemand.Audit(all, leases.Rules)
	if r.Overlaps > 0 || r.Runs > r.Domains && r.MinGap < leases.Rules.Interval {
		s.Errorf("the audit says %v", r)
	}
	return r.Runs
}

// sign signs both books in turn, at some of the replicas.
func (s *shop) sign(entries int, replicas ...int) {
	s.Helper()
	for n := range entries {
		text := fmt.Sprintf("entry %d of %d", n, entries)
		status, page := s.ask(replicas[n%len(replicas)], []string{"/cats/", "/dogs/"}[n%2], url.Values{"text": {text}})
		if status != http.StatusOK || !strings.Contains(page, text) {
			s.Fatalf("%s: %d\n%s", text, status, page)
		}
	}
}

// killAtWork has the entries of the cats, which are every other one, greeted once more, kills the replica that is at it, and
// returns which that was. As nobody else may write into the book meanwhile, none of these jobs can end.
func (s *shop) killAtWork(signed int64) (killed int) {
	s.Helper()
	queues, leases := s.open()
	lock, err := s.book.BeginTx(s.Context(), nil)
	if err != nil {
		s.Fatal(err)
	}
	defer lock.Rollback()
	var again []jobqueue.Spec
	for id := int64(1); id <= signed; id += 2 {
		again = append(again, jobqueue.Spec{Job: &greet{Entry: id}})
	}
	cats := queues.On("cats")
	if _, err := cats.Push(s.Context(), again...); err != nil {
		s.Fatal(err)
	}
	s.until("replica at work", func() bool {
		counts, err := cats.Counts(s.Context(), jobqueue.Name{Domain: "cats", Type: "greet"})
		if err != nil {
			s.Fatal(err)
		}
		return len(counts) == 1 && counts[0].Claimed > 0
	})
	now, err := leases.Read(s.Context(), "cats")
	if err != nil {
		s.Fatal(err)
	}
	killed = slices.IndexFunc(s.replicas, func(r *replica) bool {
		return strings.HasSuffix(now.Current.Owner, fmt.Sprint(":", r.cmd.Process.Pid))
	})
	if killed < 0 || now.Over {
		s.Fatalf("no replica holds the lease, but %+v", now.Current)
	}
	if err := s.replicas[killed].cmd.Process.Kill(); err != nil {
		s.Fatal(err)
	}
	s.replicas[killed].cmd.Wait()
	return killed
}

// Three replicas share the work of two books, also when one of them is killed at it. Each job does once what it is to do.
func TestReplicas(t *testing.T) {
	s := newShop(t, 3)
	s.sign(30, 0, 1, 2)
	s.until("greeting of each entry", func() bool { return s.number("select count(*) from entry where greeted = 0") == 0 })
	if n := s.number("select max(greeted) from entry"); n > 1 {
		t.Errorf("an entry was greeted %d times", n)
	}
	killed := s.killAtWork(30)
	s.replicas = slices.Delete(s.replicas, killed, killed+1)
	s.sign(6, 0, 1)
	s.until("second greeting of the cats, greeting of each new entry, and right count", func() bool {
		return s.number("select sum(greeted) from entry") >= 36+15 && s.number("select count(*) from total where entries = 18") == 2
	})
	if n := s.number("select count(*) from entry where greeted != 1 + (domain = 'cats' and id <= 30)"); n > 0 {
		t.Errorf("%d entries were not greeted as often as they should", n)
	}
	if n := s.number("select count(*) from digest"); n > 2 {
		t.Errorf("%d digests were made, want one a day for each book at most", n)
	}
	if status, text := s.ask(0, "/status?domain=cats", nil); status != http.StatusOK || !strings.Contains(text, "\ncats: ") {
		t.Errorf("the status is %d %s", status, text)
	}
	s.stop(0)
	s.stop(1)
	if s.audit() < 2 {
		t.Error("there were not two runs")
	}
	if log, err := os.ReadFile(filepath.Join(s.dir, "runs.log")); err != nil || !strings.Contains(string(log), " cats ") || !strings.Contains(string(log), " crashed") {
		t.Errorf("%v; the log says\n%s", err, log)
	}
}

// The work can be done in processes of its own.
func TestProcesses(t *testing.T) {
	s := newShop(t, 1, "--exec")
	for n := range 5 {
		if status, page := s.ask(0, "/cats/", url.Values{"text": {fmt.Sprint("entry ", n)}}); status != http.StatusOK {
			t.Fatalf("entry %d: %d\n%s", n, status, page)
		}
	}
	s.until("greeting of each entry", func() bool { return s.number("select count(*) from entry where greeted = 1") == 5 })
	if _, text := s.ask(0, "/status", nil); !strings.Contains(text, "runs: ok 0, ") {
		t.Errorf("the server has run something itself:\n%s", text)
	}
	s.stop(0)
	s.audit()
}

// A remote cron may have a book run, if it knows the secret; who asks for what there is not is told so.
func TestCalls(t *testing.T) {
	s := newShop(t, 1)
	for path, want := range map[string]int{
		"/run/cats?key=woof": http.StatusForbidden, "/run/mice?key=meow": http.StatusNotFound,
		"/mice/": http.StatusNotFound, "/": http.StatusNotFound,
	} {
		if status, _ := s.ask(0, path, nil); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	if status, text := s.ask(0, "/run/cats", url.Values{"key": {"meow"}}); status != http.StatusOK || text != "0" {
		t.Errorf("the call was answered with %d %s", status, text)
	}
	if status, _ := s.ask(0, "/cats/", url.Values{"text": {""}}); status != http.StatusBadRequest {
		t.Errorf("an empty entry: %d", status)
	}
	if n := s.audit(); n != 1 {
		t.Errorf("%d runs, want that of the call alone", n)
	}
	s.stop(0)
}

func TestMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("memory.yaml", []byte("domains: [cats]\nbackends: {main: {kind: memory}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"--port 1", 2, "flag provided but not defined: -port"},
		{"cats", 2, `guestbook: unexpected argument "cats"`},
		{"--farm memory.yaml --run cows", 1, `guestbook: --run: "cows" is none of the farm's domains`},
		{"--farm nowhere.yaml", 1, "guestbook: open nowhere.yaml: no such file or directory"},
	} {
		var out, log bytes.Buffer
		if got := run(strings.Fields(test.args), &out, &log); got != test.status || !strings.HasPrefix(log.String(), test.want) || out.Len() > 0 {
			t.Errorf("guestbook %s = %d, %s%s want %d, %s", test.args, got, &out, &log, test.status, test.want)
		}
	}
}
