//go:build unix

package config_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// Each key of a handler reaches the program or the endpoint.
func TestHandlers(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	t.Cleanup(server.Close)
	t.Setenv("FARM_URL", server.URL)
	t.Setenv("FARM_PASSWORD", "hunter2")
	f := load(t, memory+`
types:
  once:
    handler:
      exec: [sh, -c, 'test "$PASSWORD" = hunter2 && test -z "$FARM_PASSWORD" && test "$(ulimit -v)" = 262144']
      env: {PASSWORD: "${FARM_PASSWORD}", EMPTY: ""}
      memory: 256M
  leaves:
    handler: {exec: [sh, -c, 'read x; echo "{\"id\":\"7\",\"ok\":true}"; read x && exit 3'], jsonl: true, restart: {jobs: 1, memory: 1G}}
  stays:
    handler: {exec: [sh, -c, 'read x; echo "{\"id\":\"7\",\"ok\":true}"; read x && exit 3'], jsonl: true}
  call:
    handler:
      http: {url: "${FARM_URL}/run", headers: {X-Farm: one}, tokenFile: token, hmacFile: ./key, connect: 2s, timeout: 1m}
`)
	var reg jobqueue.Registry
	if err := f.AddHandlers(&reg); err != nil {
		t.Fatal(err)
	}
	run := func(reg *jobqueue.Registry, typ string) error {
		t.Helper()
		c := &jobqueue.Claim{Record: jobqueue.Record{Name: jobqueue.Name{Domain: "d", Type: typ}, Params: []byte("{}")}, ID: "7"}
		job, err := reg.Job(c)
		if err != nil {
			t.Fatal(err)
		}
		return job.Run(jobqueue.NewContext(context.Background(), c))
	}
	for _, typ := range []string{"once", "leaves", "leaves", "stays"} {
		if err := run(&reg, typ); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
	// The same process gets the second job.
	if err := run(&reg, "stays"); err == nil || err.Error() != "exit status 3" {
		t.Errorf("stays: %v, want exit status 3", err)
	}

	// The files of secrets stand beside the farm file.
	if err := run(&reg, "call"); !errors.Is(err, jobqueue.ErrFault) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("call = %v, want that there is no token", err)
	}
	var second jobqueue.Registry
	dir := t.TempDir()
	path := filepath.Join(dir, "farm.yaml")
	for name, text := range map[string]string{"token": "abc\n", "key": "k\n", "farm.yaml": memory + `
types: {call: {handler: {http: {url: "${FARM_URL}/run", headers: {X-Farm: one}, tokenFile: token, hmacFile: ./key}}}}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := config.Load(path); err != nil {
		t.Fatal(err)
	} else if err := f.AddHandlers(&second); err != nil {
		t.Fatal(err)
	}
	if err := run(&second, "call"); err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "Bearer abc"}
	if diff := cmp.Diff(want, []string{got.Get("X-Farm"), got.Get("Authorization")}); diff != "" || got.Get("Jobqueue-Signature") == "" {
		t.Errorf("headers (-want +got):\n%s\n%v", diff, got)
	}
}
