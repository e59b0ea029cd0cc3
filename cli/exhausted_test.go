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

// A job that is given up as its runners died again and again is named as others are.
func TestExhaustedJobsAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"lines": ` null {} t=0 error=tries used up: 0 failures, `,
		"json":  `"error": "tries used up: 0 failures, `,
	} {
		t.Chdir(t.TempDir())
		b, err := sqlite.Open("jobs.db", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		g := jobqueue.NewGroup("default", jobqueue.Routes{Default: b})
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "null", MaxTries: 1}); err != nil {
			t.Fatal(err)
		}
		// The store itself does not judge how often a job may be claimed.
		claims := 0
		for end := time.Now().Add(time.Minute); claims < 10 && time.Now().Before(end); {
			got, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Millisecond}, jobqueue.Want{Name: jobqueue.Name{Domain: "default", Type: "null"}, Max: 1})
			if err != nil {
				t.Fatal(err)
			}
			claims += len(got)
		}
		args := []string{"--procs=1"}
		if name == "json" {
			args = append(args, "--result=json")
		}
		status, stdout, stderr := 0, "", ""
		for end := time.Now().Add(time.Minute); status == 0 && time.Now().Before(end); {
			status, stdout, stderr = execute(cli.RunJobs(cli.App{}), strings.NewReader(""), args...)
		}
		if status != 1 || strings.Count(stdout, want) != 1 {
			t.Errorf("%s: status %d, want 1 with %q\n%s%s", name, status, want, stdout, stderr)
		}
	}
}
