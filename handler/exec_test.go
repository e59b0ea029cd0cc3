//go:build unix

package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
)

// shell runs a script as the program of a job.
func shell(ctx context.Context, c *jobqueue.Claim, script string, arg ...string) error {
	job := handler.Exec("/bin/sh", append([]string{"-c", script, "sh"}, arg...)...)("mail")
	return job.Run(jobqueue.NewContext(ctx, c))
}

func TestExecInput(t *testing.T) {
	out := filepath.Join(t.TempDir(), "in")
	c := claim("{ \"n\": 12345678901234567890, \"s\":\"\\u0000<&>\u2028\",\n \"f\":1.0 }")
	c.Root = jobqueue.Root{Key: "page:1", Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
	c.Headers = map[string]string{"traceparent": "00-1"}
	if err := shell(t.Context(), c, `cat >"$1"`, out); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(got), `,"params":`+string(c.Params)+"}\n") {
		t.Errorf("params are not as pushed: %s", got)
	}
	var fields map[string]any
	dec := json.NewDecoder(strings.NewReader(string(got)))
	if err := dec.Decode(&fields); err != nil {
		t.Fatalf("input is not one JSON object: %v\n%s", err, got)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Errorf("there is more after the object: %v", err)
	}
	delete(fields, "params")
	want := map[string]any{
		"id": "17", "domain": "enwiki", "type": "mail", "attempt": 2.0,
		"root":    map[string]any{"key": "page:1", "time": "2026-01-02T03:04:05.000006Z"},
		"headers": map[string]any{"traceparent": "00-1"},
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
}

func TestExecExit(t *testing.T) {
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New()})
	for _, test := range []struct {
		name, script string
		do           jobqueue.Action
		err          string
	}{
		{"done", "cat >/dev/null", jobqueue.ActionDone, ""},
		{"done without reading its input", "exit 0", jobqueue.ActionDone, ""},
		{"later", "exit 75", jobqueue.ActionGiveBack, "snoozed for 30s"},
		{"failed", "echo no route >&2; exit 1", jobqueue.ActionRetry, "exit status 1: no route"},
		{"failed in silence", "exit 3", jobqueue.ActionRetry, "exit status 3"},
		{"killed", "kill -9 $$", jobqueue.ActionRetry, "killed by signal: killed"},
		{"crashed", "kill -SEGV $$", jobqueue.ActionRetry, "killed by signal: segmentation fault"},
		{"much output", "yes | head -c 10000000; echo x >&2; exit 1", jobqueue.ActionRetry, "exit status 1: x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := claim(`{"big":"` + strings.Repeat("x", 1<<20) + `"}`)
			c.QueuedAt = time.Now()
			o := g.Outcome(c, shell(t.Context(), c, test.script))
			if o.Do != test.do || o.Err != test.err {
				t.Errorf("outcome = %v %q, want %v %q", o.Do, o.Err, test.do, test.err)
			}
		})
	}
}

func TestExecMissingProgram(t *testing.T) {
	err := handler.Exec("/no/such/program")("mail").Run(jobqueue.NewContext(t.Context(), claim("{}")))
	if !errors.Is(err, jobqueue.ErrFault) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("Run = %v, want that /no/such/program does not exist", err)
	}
}

func TestExecStderrTail(t *testing.T) {
	// 100 kB in lines of 10 bytes, then a letter of two bytes at an odd place.
	err := shell(t.Context(), claim("{}"), `i=0; while [ $i -lt 10000 ]; do printf '%09d\n' $i; i=$((i+1)); done >&2; printf 'xé' >&2; exit 4`)
	if err == nil {
		t.Fatal("Run = nil, want a failure")
	}
	s := err.Error()
	if len(s) > jobqueue.MaxError || len(s) < jobqueue.MaxError-16 {
		t.Errorf("the reason has %d bytes, want about %d and not more", len(s), jobqueue.MaxError)
	}
	if !strings.HasPrefix(s, "exit status 4: ") || !strings.HasSuffix(s, "000009999\nxé") {
		t.Errorf("the reason is not the end of stderr: %.40q … %q", s, s[len(s)-20:])
	}
}

// TestExecCancel shows that the whole process group goes when the context ends:
// the reader sees the end of the pipe only when nobody holds it any more.
func TestExecCancel(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	mkfifo(t, pipe)
	gone := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	lost := errors.New("claim lost")
	go func() {
		f, err := os.Open(pipe)
		if err != nil {
			gone <- err
			return
		}
		defer f.Close()
		// The first byte says that the grandchild runs.
		if _, err := f.Read(make([]byte, 1)); err != nil {
			gone <- err
			return
		}
		cancel(lost)
		_, err = io.Copy(io.Discard, f)
		gone <- err
	}()
	start := time.Now()
	err := shell(ctx, claim("{}"), `echo about to wait >&2; exec 3>"$1"; sh -c 'echo >&3; sleep 1000' & wait`, pipe)
	if !errors.Is(err, lost) {
		t.Errorf("Run = %v, want the cause %v", err, lost)
	}
	if want := "killed: claim lost: about to wait"; err != nil && err.Error() != want {
		t.Errorf("Run = %q, want %q", err, want)
	}
	if err := <-gone; err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("the grandchild lived for %v", d)
	}
}

// TestExecStray shows that a child which the program leaves behind, holding
// its output, does not hold the job.
func TestExecStray(t *testing.T) {
	start := time.Now()
	if err := shell(t.Context(), claim("{}"), `sleep 30 & exit 0`); err != nil {
		t.Errorf("Run = %v", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("the job took %v", d)
	}
}

func TestExecAsFallback(t *testing.T) {
	var reg jobqueue.Registry
	reg.Fallback(handler.Exec("/bin/sh", "-c", "exit 6"), jobqueue.Policy{})
	typed := handler.Exec("/bin/true")
	reg.Add(func() jobqueue.Job { return typed("typed") }, jobqueue.Policy{})
	for typ, want := range map[string]string{"typed": "<nil>", "mail": "exit status 6"} {
		c := claim(`{"a":[1]}`)
		c.Type = typ
		job, err := reg.Job(c)
		if err != nil {
			t.Fatal(err)
		}
		got := "<nil>"
		if err := job.Run(jobqueue.NewContext(t.Context(), c)); err != nil {
			got = err.Error()
		}
		if got != want || job.Type() != typ {
			t.Errorf("%s: Run = %s as %s, want %s", typ, got, job.Type(), want)
		}
	}
}
