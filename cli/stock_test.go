package cli_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A stock is a file with a job in each state, which mistakes must leave as they are.
type stock struct {
	*testing.T
	b    *sqlite.Backend
	jobs []string
}

// newStock makes an empty directory the current one, and in it the file jobs.db and the farm
// files farm.yaml, of any domain, and wikis.yaml, of two.
func newStock(t *testing.T) *stock {
	t.Helper()
	t.Chdir(t.TempDir())
	const farm = "backends: {main: {kind: sqlite, path: jobs.db}}\n"
	for name, text := range map[string]string{"farm.yaml": farm, "wikis.yaml": farm + "domains: [enwiki, dewiki]\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := sqlite.Open("jobs.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: b})
	if _, err := g.Push(t.Context(),
		jobqueue.Spec{Type: "kept"}, jobqueue.Spec{Type: "kept"}, jobqueue.Spec{Type: "kept", Dedupe: true},
		jobqueue.Spec{Type: "kept", Delay: time.Hour},
	); err != nil {
		t.Fatal(err)
	}
	lease := jobqueue.Lease{Token: uuid.New(), TTL: time.Hour, Owner: "somebody"}
	claims, err := g.Pop(t.Context(), lease, jobqueue.Want{Name: jobqueue.Name{Domain: "enwiki", Type: "kept"}, Max: 2})
	if err != nil || len(claims) != 2 {
		t.Fatalf("Pop = %v, %v, want 2 jobs", claims, err)
	}
	if err := g.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionAbandon, Err: "no"}); err != nil {
		t.Fatal(err)
	}
	s := &stock{T: t, b: b}
	s.jobs = s.list("kept")
	return s
}

// list returns the jobs of a type or, with none, of all.
func (s *stock) list(typ string) (jobs []string) {
	s.Helper()
	for e, err := range s.b.List(s.Context(), jobqueue.Filter{Type: typ}) {
		if err != nil {
			s.Fatal(err)
		}
		jobs = append(jobs, e.String())
	}
	return jobs
}

// refuses runs a command, on farm.yaml unless it names another, that must do nothing but say on one
// line of standard error what is wrong, and end with a status. What follows … is not compared.
func (s *stock) refuses(command string, status int, want string) {
	s.Helper()
	words := strings.Split(command, " ")
	name, args := words[0], words[1:]
	if !strings.Contains(command, "--config") {
		args = append([]string{"--config=farm.yaml"}, args...)
	}
	c := cli.JobCtl(cli.App{})
	if name == "runjobs" {
		c = cli.RunJobs(cli.App{})
	}
	got, stdout, stderr := execute(c, strings.NewReader(""), args...)
	if strings.Contains(stdout+stderr, "hunter") {
		s.Errorf("%.200q shows a secret: %s%s", command, stdout, stderr)
	}
	line, ended := strings.CutSuffix(stderr, "\n")
	begin, cut := strings.CutSuffix(name+": "+want, "…")
	fits := line == begin || cut && strings.HasPrefix(line, begin)
	if got != status || !fits || !ended || strings.Contains(line, "\n") || stdout != "" {
		s.Errorf("%.200q: status %d, want %d\n got %.500swant %s: %s\n%s", command, got, status, stderr, name, want, stdout)
	}
	s.kept(command)
}

// refusesLine pushes a line behind a good one, which must be stored, and only that.
func (s *stock) refusesLine(line, want string) {
	s.Helper()
	const good = `{"type":"good"}` + "\n\n"
	status, stdout, stderr := execute(cli.JobCtl(cli.App{}), strings.NewReader(good+line+"\n"+good), "push", "--config=farm.yaml")
	want = "jobctl: line 3: " + want
	const end = " (stored up to line 1, go on with --from-line 2)\n"
	if status != 2 || !strings.HasPrefix(stderr, want) || !strings.HasSuffix(stderr, end) || strings.Count(stderr, "\n") != 1 ||
		!strings.HasPrefix(stdout, "stored 1 jobs,") {
		s.Errorf("%.60q: status %d, %s\n got %.500swant %s%s", line, status, stdout, stderr, want, end)
	}
	if jobs := s.list("good"); len(jobs) != 1 {
		s.Errorf("%.60q: %d jobs were stored, want 1", line, len(jobs))
	}
	if _, err := s.b.Delete(s.Context(), jobqueue.Filter{Type: "good"}); err != nil {
		s.Fatal(err)
	}
	s.kept(line)
}

// kept fails the test unless all jobs are there as they were, and no other.
func (s *stock) kept(after string) {
	s.Helper()
	if diff := cmp.Diff(s.jobs, s.list("")); diff != "" {
		s.Fatalf("%.200q changed the jobs (-want +got):\n%s", after, diff)
	}
}
