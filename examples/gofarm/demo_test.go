package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gofarm runs a command line on the farm in dir and checks its exit status.
func gofarm(t *testing.T, dir string, status int, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if got := run(append([]string{"--dir", dir}, args...), &out); got != status {
		t.Fatalf("gofarm %q = %d, want %d\n%s", args, got, status, out.String())
	}
	return out.String()
}

func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "farm")
	for _, part := range []string{"container", "encoding"} { // it may be made anew
		out := gofarm(t, dir, 0, "demo", "--below", part)
		if strings.Contains(out, "WRONG") || !strings.Contains(out, "true   the queue is empty") {
			t.Errorf("demo printed\n%s\nwant that all is true", out)
		}
	}

	lines, err := os.ReadFile(filepath.Join(dir, "runjobs.log"))
	if err != nil {
		t.Fatal(err)
	}
	if part := `refreshLinks {"page":"std:encoding/json"} t=`; !strings.Contains(string(lines), part) {
		t.Errorf("runjobs printed\n%s\nwant a line with %s", lines, part)
	}

	out := gofarm(t, dir, 0, "page", "std:encoding/json")
	if part := `<a href="/std/encoding">encoding</a>: Package encoding defines`; !strings.Contains(out, part) {
		t.Errorf("page std:encoding/json is\n%s\nwant in it %s", out, part)
	}
	out = gofarm(t, dir, 0, "sql", "select wiki, path from pages where path = 'encoding/json'")
	if want := "wiki  path\nstd   encoding/json\n"; out != want {
		t.Errorf("sql printed %q, want %q", out, want)
	}

	// What the demo suggests to do next.
	config := filepath.Join(dir, "farm.yaml")
	gofarm(t, dir, 0, "jobctl", "push", "--config", config, "--domain", "std", "--type", "refreshLinks", "--params", `{"page":"std:encoding/json"}`)
	gofarm(t, dir, 1, "report", "--below", "encoding")
	gofarm(t, dir, 0, "runjobs", "--config", config)
	db, err := sql.Open("sqlite", filepath.Join(dir, "wiki.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var pages, unfinished int
	err = db.QueryRow("select count(*), sum(id not in (select page from rendered)) from pages").Scan(&pages, &unfinished)
	if err != nil || pages < 10 || unfinished != 0 {
		t.Errorf("%d pages, %d not rendered, %v; want ten or more, all rendered", pages, unfinished, err)
	}
	gofarm(t, dir, 0, "report", "--below", "encoding")

	if _, err := db.Exec("update rendered set red = red + 1"); err != nil {
		t.Fatal(err)
	}
	gofarm(t, dir, 1, "report", "--below", "encoding")
}
