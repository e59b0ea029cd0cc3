//go:build unix

package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
)

// worker is a program that does as the job's parameters say, and notes in $1 that it started.
const worker = `
echo $$ >>"$1"
while read -r line; do
	id=$(expr "$line" : '.*"id":"\([0-9]*\)"')
	case $line in
	*crash*) echo oh no >&2; kill -SEGV $$ ;;
	*exit*) exit 0 ;;
	*status*) echo bad luck >&2; exit 75 ;;
	*hang*) sleep 1000 ;;
	*garbage*) echo 'PHP Warning: x' ;;
	*twice*) echo "{\"id\":\"$id\",\"ok\":true}
{\"id\":\"$id\",\"ok\":true}" ;;
	*both*) echo "{\"id\":\"$id\",\"ok\":true,\"error\":\"no route\"}" ;;
	*other*) echo '{"id":"other","ok":true}' ;;
	*neither*) echo "{\"id\":\"$id\"}" ;;
	*flood*) head -c 1000000 /dev/zero | tr '\0' x; echo ;;
	*fail*) echo "{\"id\":\"$id\",\"error\":\"no route\"}" ;;
	*retry*) echo "{\"id\":\"$id\",\"error\":\"busy\",\"retryIn\":\"90s\"}" ;;
	*never*) echo "{\"id\":\"$id\",\"error\":\"no such page\",\"abandon\":true}" ;;
	*later*) echo "{\"id\":\"$id\",\"snooze\":\"10s\"}" ;;
	*soon*) echo "{\"id\":\"$id\",\"snooze\":\"soon\"}" ;;
	*leave*) echo "{\"id\":\"$id\",\"ok\":true}"; exit 0 ;;
	*) echo "{\"id\":\"$id\",\"ok\":true}" ;;
	esac
done`

// A team is a program that runs job after job.
type team struct {
	jobs func(string) jobqueue.Job
	log  string
}

func newTeam(t *testing.T, p handler.Program) *team {
	log := filepath.Join(t.TempDir(), "log")
	p.Argv, p.Lines = []string{"/bin/sh", "-c", worker, "sh", log}, true
	return &team{p.Jobs(), log}
}

func (m *team) run(ctx context.Context, id int, what string) error {
	c := claim(fmt.Sprintf("{\"what\":\r\n%q}", what))
	c.ID, c.QueuedAt = fmt.Sprint(id), time.Now()
	return m.jobs("mail").Run(jobqueue.NewContext(ctx, c))
}

// started returns how many processes there have been.
func (m *team) started(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(m.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func TestLinesOneProcess(t *testing.T) {
	m := newTeam(t, handler.Program{})
	for i := range 100 {
		if err := m.run(t.Context(), i, "good"); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.started(t); n != 1 {
		t.Errorf("%d processes for 100 jobs, want 1", n)
	}
}

func TestLinesAtOnce(t *testing.T) {
	m := newTeam(t, handler.Program{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if err := m.run(t.Context(), 100*w+i, "good"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := m.started(t); n < 1 || n > 4 {
		t.Errorf("%d processes for four jobs at once", n)
	}
}

func TestLinesAnswers(t *testing.T) {
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New(),
		Policy: func(string) jobqueue.Policy {
			return jobqueue.Policy{Backoff: func(int) time.Duration { return time.Minute }}
		}})
	m := newTeam(t, handler.Program{})
	id := 0
	for _, test := range []struct {
		what  string
		do    jobqueue.Action
		delay time.Duration
		err   string
		ends  bool // whether the process has to be replaced
	}{
		{"good", jobqueue.ActionDone, 0, "", false},
		{"fail", jobqueue.ActionRetry, time.Minute, "no route", false},
		{"retry", jobqueue.ActionRetry, 90 * time.Second, "busy", false},
		{"never", jobqueue.ActionAbandon, 0, "no such page", false},
		{"later", jobqueue.ActionGiveBack, 10 * time.Second, "snoozed for 10s", false},
		{"crash", jobqueue.ActionRetry, time.Minute, "killed by signal: segmentation fault: oh no", true},
		{"status", jobqueue.ActionGiveBack, handler.RetryAfter, "snoozed for 30s", true},
		{"exit", jobqueue.ActionRetry, time.Minute, "the program ended without an answer", true},
		{"garbage", jobqueue.ActionRetry, time.Minute, `the answer "PHP Warning: x" is not as agreed`, true},
		{"other", jobqueue.ActionRetry, time.Minute, `the program answered for job "other", not "`, true},
		{"twice", jobqueue.ActionRetry, time.Minute, "the answer has more than one line", true},
		{"both", jobqueue.ActionRetry, time.Minute, "the program's answer is ok and something else", true},
		{"neither", jobqueue.ActionRetry, time.Minute, "the program's answer has neither ok nor error nor snooze", true},
		{"soon", jobqueue.ActionRetry, time.Minute, `the program's answer: time: invalid duration "soon"`, true},
		{"flood", jobqueue.ActionRetry, time.Minute, "the answer has more than 65536 bytes", true},
	} {
		t.Run(test.what, func(t *testing.T) {
			id += 2
			if err := m.run(t.Context(), id, "good"); err != nil {
				t.Fatalf("the job before: %v", err)
			}
			before := m.started(t)
			c := claim("{}")
			c.QueuedAt = time.Now()
			o := g.Outcome(c, m.run(t.Context(), id+1, test.what))
			if o.Do != test.do || o.Delay != test.delay || !strings.HasPrefix(o.Err, test.err) || test.err == "" && o.Err != "" {
				t.Errorf("outcome = %v in %v: %q, want %v in %v: %q", o.Do, o.Delay, o.Err, test.do, test.delay, test.err)
			}
			// A crash costs its own job alone.
			if err := m.run(t.Context(), id, "good"); err != nil {
				t.Errorf("the job after: %v", err)
			}
			if replaced := m.started(t) > before; replaced != test.ends {
				t.Errorf("the process was replaced: %v, want %v", replaced, test.ends)
			}
		})
	}
}

// A process that ends between two jobs has failed neither.
func TestLinesLeaves(t *testing.T) {
	m := newTeam(t, handler.Program{})
	for i := range 20 {
		if err := m.run(t.Context(), i, "leave"); err != nil {
			t.Errorf("job %d: %v", i, err)
		}
	}
	if n := m.started(t); n < 20 {
		t.Errorf("%d processes, want one for each job", n)
	}
}

func TestLinesLimits(t *testing.T) {
	for what, tt := range map[string]struct {
		p           handler.Program
		least, most int
	}{
		"jobs":           {handler.Program{MaxJobs: 5}, 4, 4},
		"little memory":  {handler.Program{MaxMemory: 1}, 5, 20},
		"plenty of both": {handler.Program{MaxJobs: 100, MaxMemory: 1 << 40}, 1, 1},
	} {
		t.Run(what, func(t *testing.T) {
			m := newTeam(t, tt.p)
			for i := range 20 {
				if err := m.run(t.Context(), i, "good"); err != nil {
					t.Fatal(err)
				}
			}
			if n := m.started(t); n < tt.least || n > tt.most {
				t.Errorf("%d processes for 20 jobs, want %d to %d", n, tt.least, tt.most)
			}
		})
	}
}

func TestLinesTimeLimit(t *testing.T) {
	m := newTeam(t, handler.Program{})
	if err := m.run(t.Context(), 1, "good"); err != nil {
		t.Fatal(err)
	}
	lost := errors.New("claim lost")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, lost)
	defer cancel()
	start := time.Now()
	if err := m.run(ctx, 2, "hang"); !errors.Is(err, lost) {
		t.Errorf("Run = %v, want %v", err, lost)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Run took %v", took)
	}
	if err := m.run(t.Context(), 3, "good"); err != nil {
		t.Errorf("the job after: %v", err)
	}
}

// The line is what other programs get, on one line, and the environment has nothing of the job.
func TestLinesInput(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	p := handler.Program{Lines: true, Argv: []string{"/bin/sh", "-c", `env | grep JOBQUEUE >"$1"; read -r line; printf '%s\n' "$line" >>"$1"; echo '{"id":"17","ok":true}'`, "sh", out}}
	c := claim("{\n \"a\": 1.0,\r\n\t\"b\":\"\\n\" }")
	if err := p.Jobs()("mail").Run(jobqueue.NewContext(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var in struct{ Params json.RawMessage }
	if err := json.Unmarshal(got, &in); err != nil || strings.Count(string(got), "\n") != 1 {
		t.Fatalf("input is not one line of JSON: %v\n%s", err, got)
	}
	if diff := cmp.Diff("{  \"a\": 1.0,  \t\"b\":\"\\n\" }", string(in.Params)); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
}
