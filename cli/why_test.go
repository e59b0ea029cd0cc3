package cli_test

import (
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
