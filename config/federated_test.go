package config_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wikifarm/jobqueue"
)

// Jobs of a federated backend go to its partitions, those of a section's domains to that; its partitions are not stores
// of their own.
func TestFederated(t *testing.T) {
	f := load(t, `
backends:
  q1: {kind: memory}
  q2: {kind: sqlite, path: q2.db}
  q3: {kind: memory}
  old: {kind: memory}
  all:
    kind: federated
    sections: {big: {partitions: {q3: 1}, domains: [enwiki]}}
    partitions: {q1: 2, q2: {weight: 0.5}, old: {noPush: true}}
`)
	q, err := f.Open(t.Context(), &jobqueue.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if len(q.Stores) != 1 || q.Stores[0].Name != "all" {
		t.Errorf("the stores are %+v, want all alone", q.Stores)
	}
	at := map[string]int{}
	for range 500 {
		pushed, err := q.Push(t.Context(), jobqueue.Spec{Type: "a"})
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(pushed[0].ID, ":")
		at[name]++
	}
	if at["q1"] < 300 || at["q2"] < 50 || len(at) != 2 {
		t.Errorf("the jobs went to %v, want four in five to go to q1, the others to q2", at)
	}
	pushed, err := q.On("enwiki").Push(t.Context(), jobqueue.Spec{Type: "a"})
	if err != nil || !strings.HasPrefix(pushed[0].ID, "q3:") {
		t.Errorf("Push = %+v, %v, want the job in q3", pushed, err)
	}
}

// A farm opens while a server of a partition is away, and says which; what can never work is an error.
func TestFederatedAway(t *testing.T) {
	text := "backends: {q1: {kind: memory}, q2: {kind: redis, url: 'unix:///nowhere/redis.sock'}, all: {kind: federated, partitions: {q1: 1, q2: 1}}}"
	var log bytes.Buffer
	f := load(t, text)
	f.Logger = slog.New(slog.NewTextHandler(&log, nil))
	q, err := f.Open(t.Context(), &jobqueue.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if !strings.Contains(log.String(), `level=WARN msg="partition is away" partition=q2`) {
		t.Errorf("the log says %s, want that q2 is away", &log)
	}
	if _, err := q.Push(t.Context(), jobqueue.Spec{Type: "a"}); err != nil {
		t.Errorf("Push: %v", err)
	}
	_, err = q.Counts(t.Context())
	if part, ok := errors.AsType[*jobqueue.PartError](err); !ok || len(part.Parts) != 1 || part.Parts[0] != "q2" {
		t.Errorf("Counts = %v, want a PartError of q2", err)
	}

	dir := t.TempDir()
	_, err = load(t, "backends: {q1: {kind: sqlite, path: "+dir+"}, all: {kind: federated, partitions: {q1: 1}}}").Open(context.Background(), &jobqueue.Registry{})
	if want := "backend all: partition q1: "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), filepath.Base(dir)) || !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Open = %v, want an ErrInvalid that begins with %s", err, want)
	}
}
