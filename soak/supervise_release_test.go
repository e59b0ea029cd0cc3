//go:build unix

package soak_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A newer release has what runs finish, on the old code; then the supervisor executes what its path leads to
// by then, as the same process.
func TestSuperviseRelease(t *testing.T) {
	duration(t)
	s := newSite(t)
	program, release, newer := filepath.Join(s.dir, "program"), filepath.Join(s.dir, "release"), filepath.Join(s.dir, "newer")
	if err := errors.Join(os.Symlink(os.Args[0], program), os.WriteFile(release, []byte("1"), 0o600),
		os.WriteFile(newer, []byte("#!/bin/sh\necho newer $$ $# >>\"$SOAK_FARM\"\n"), 0o700)); err != nil {
		t.Fatal(err)
	}
	b := s.band(nil, "--processes=2", "--procs=2", "--release-file", release, "--pid-file", filepath.Join(s.dir, "pid"))
	b.cmd.Path, b.cmd.Args[0] = program, program
	b.launch()
	b.do(1, func(j *deed) { j.Takes = 4 * time.Second })
	b.until("work", func() bool { return len(b.noted("begin")) == 1 })
	if err := errors.Join(os.WriteFile(release+".new", []byte("2"), 0o600), os.Rename(release+".new", release),
		os.Symlink(newer, program+".new"), os.Rename(program+".new", program)); err != nil {
		t.Fatal(err)
	}
	b.ends(0)
	deeds := strings.Fields(strings.ReplaceAll(b.read(b.deeds), "\n", " "))
	want := []string{"newer", strconv.Itoa(b.cmd.Process.Pid), "10"}
	if len(b.noted("done")) != 1 || len(deeds) < 3 || !slices.Equal(deeds[len(deeds)-3:], want) {
		t.Errorf("%v, want the job done and then %v\n%s", deeds, want, b.read(b.log))
	}
}
