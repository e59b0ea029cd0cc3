package cli_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A job whose claims ran out is suspect, and then runs alone.
func TestWhySuspect(t *testing.T) {
	t.Chdir(t.TempDir())
	b, err := sqlite.Open("jobs.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g := jobqueue.NewGroup("default", jobqueue.Routes{Default: b})
	pushed, err := g.Push(t.Context(), jobqueue.Spec{Type: "null"})
	if err != nil {
		t.Fatal(err)
	}
	id := pushed[0].ID
	for n, want := range []string{
		"",
		"one of its claims ran out, so it may have killed its process: it is claimed only when a worker is free\n",
		"2 of its claims ran out, so it may kill its process: it runs only where nothing else does\n",
	} {
		status, stdout, stderr := execute(cli.JobCtl(cli.App{}), strings.NewReader(""), "why", "--id", id)
		if status != 0 || stderr != "" || strings.Contains(stdout, "claims ran out") != (n > 0) || n > 0 && !strings.Contains(stdout, want) {
			t.Errorf("after %d claims that ran out: status %d, %s%s", n, status, stdout, stderr)
		}
		lapse(t, g, b, id, n+1)
	}
}

// lapse claims a job, and waits until so many of its claims have run out.
func lapse(t *testing.T, g *jobqueue.Group, b *sqlite.Backend, id string, times int) {
	t.Helper()
	lease := jobqueue.Lease{Token: uuid.New(), TTL: time.Millisecond}
	want := jobqueue.Want{Name: jobqueue.Name{Domain: "default", Type: "null"}, ID: id}
	if claims, err := g.Pop(t.Context(), lease, want); err != nil || len(claims) != 1 {
		t.Fatalf("Pop = %v, %v, want the job", claims, err)
	}
	for {
		if _, err := b.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for e, err := range b.List(t.Context(), jobqueue.Filter{IDs: []string{id}}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.State == jobqueue.Ready && e.Expiries == times {
				return
			}
		}
	}
}

// A queue whose type or domain has as many claimed jobs as may run at once, and one that no group runs.
func TestWhyCap(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	farm := `
backends: {main: {kind: sqlite, path: jobs.db}}
caps: {types: {null: 1}, perDomain: 2}
groups: {some: {workers: 2, include: ["null", other]}}
`
	if err := os.WriteFile("farm.yaml", []byte(farm), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := sqlite.Open("jobs.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g := jobqueue.NewGroup("default", jobqueue.Routes{Default: b})
	for _, typ := range []string{"null", "null", "other", "other", "strange"} {
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: typ}); err != nil {
			t.Fatal(err)
		}
	}
	why := func(typ string) string {
		t.Helper()
		status, stdout, stderr := execute(cli.JobCtl(cli.App{}), strings.NewReader(""), "why", "--config", "farm.yaml", "--type", typ)
		if status != 0 || stderr != "" {
			t.Fatalf("status %d, %s", status, stderr)
		}
		return stdout
	}
	for _, typ := range []string{"null", "other"} {
		if got := why(typ); strings.Contains(got, "at once") || strings.Contains(got, "none of the farm's groups") {
			t.Errorf("why %s says\n%s", typ, got)
		}
		if _, err := g.Queue(typ).Pop(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	for typ, want := range map[string]string{
		"null":    "1 jobs of null are claimed, and at most 1 may run at once in the farm\n2 jobs of default are claimed, and at most 2 may run at once in the farm\n",
		"other":   "2 jobs of default are claimed, and at most 2 may run at once in the farm\n",
		"strange": "none of the farm's groups runs strange\n",
	} {
		if got := why(typ); !strings.Contains(got, want) {
			t.Errorf("why %s says\n%swant\n%s", typ, got, want)
		}
	}
}
