package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// source returns a tree of packages with these texts by file name.
func source(texts map[string]string) tree {
	m := fstest.MapFS{}
	for name, text := range texts {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree{m}
}

// A testFarm is a farm with its queue in memory.
type testFarm struct {
	*farm
	t   *testing.T
	reg jobqueue.Registry
}

func newTestFarm(t *testing.T, src tree) *testFarm {
	t.Helper()
	s, err := openStore(t.Context(), filepath.Join(t.TempDir(), "wiki.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &testFarm{t: t}
	g := jobqueue.NewGroup(wikiStd, jobqueue.Routes{Default: queuememory.New(), Policy: f.reg.Policy})
	f.farm = newFarm(src, s, &f.reg, g)
	return f
}

func (f *testFarm) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *testFarm) importAll() {
	f.t.Helper()
	pages, err := f.tree.titles(".")
	f.must(err)
	f.must(f.importPages(f.t.Context(), pages))
}

// drain runs at most so many jobs, or all if 0, and fails the test if one fails.
func (f *testFarm) drain(most int) {
	f.t.Helper()
	r, err := runner.Run(f.t.Context(), f.queue, &f.reg, &runner.Options{MaxJobs: most})
	f.must(err)
	if r.Counts.Failed > 0 {
		f.t.Fatalf("runner.Run = %v, want no failure", r)
	}
}

func (f *testFarm) report() (string, error) {
	var b bytes.Buffer
	err := f.farm.report(f.t.Context(), &b, ".")
	return b.String(), err
}

// one returns the number that a query finds.
func (f *testFarm) one(stmt string, args ...any) (n int) {
	f.t.Helper()
	f.must(f.store.reader.QueryRowContext(f.t.Context(), stmt, args...).Scan(&n))
	return n
}

// pop claims the jobs that are ready in a queue and returns them in their order.
func (f *testFarm) pop(wiki, typ string) (jobs []jobqueue.Job, claims []*jobqueue.Claim) {
	f.t.Helper()
	claims, err := f.queue.On(wiki).Queue(typ).Pop(f.t.Context(), 1000)
	f.must(err)
	for _, c := range claims {
		job, err := f.reg.Job(c)
		f.must(err)
		jobs = append(jobs, job)
	}
	return jobs, claims
}

var small = map[string]string{
	"fmt/print.go":                   "// Package fmt prints. See [io.Writer] and [Println].\npackage fmt\nimport (\"errors\"; \"internal/x\"; \"io\")\nfunc Println() {}",
	"fmt/print_test.go":              "package fmt",
	"errors/errors.go":               "// Package errors makes errors. [Nothing] is no link.\npackage errors",
	"io/io.go":                       "package io\nimport \"errors\"",
	"internal/x/x.go":                "//go:build linux && !arm\n\npackage x\nimport \"C\"\nimport \"golang.org/x/net\"",
	"internal/x/asm.s":               "",
	"vendor/golang.org/x/net/net.go": "package net",
	"cmd/tool/main.go":               "// Tool does it.\npackage main\nimport (\"fmt\"; \"golang.org/x/missing\")\nfunc main() {}",
	"cmd/tool/gen.go":                "//go:build ignore\n\npackage main\nimport \"os\"",
	"cmd/tool/testdata/a.go":         "package a",
}

func TestWikis(t *testing.T) {
	f := newTestFarm(t, source(small))
	f.importAll()
	f.drain(0)

	links, err := query(t.Context(), f.store.reader, scanText, `
		select from_wiki || ':' || from_path || ' ' || kind || ' ' || wiki || ':' || path || '#' || fragment || iif(target is null, ' broken', '')
		from leads order by 1`)
	f.must(err)
	want := []string{
		"cmd:cmd/tool import internal:cmd/vendor/golang.org/x/missing# broken",
		"cmd:cmd/tool import std:fmt#",
		"internal:internal/x import internal:vendor/golang.org/x/net#",
		"internal:internal/x import std:C# broken",
		"std:fmt doc std:fmt#Println",
		"std:fmt doc std:io#Writer",
		"std:fmt import internal:internal/x#",
		"std:fmt import std:errors#",
		"std:fmt import std:io#",
		"std:io import std:errors#",
	}
	if diff := cmp.Diff(want, links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}

	members, err := query(t.Context(), f.store.reader, scanText,
		"select path || ' ' || category from members join pages on page = id where wiki <> 'std' order by 1")
	f.must(err)
	want = []string{
		"cmd/tool is a program",
		"cmd/tool under cmd",
		"internal/x has assembly",
		"internal/x has no doc comment",
		"internal/x needs or excludes arm",
		"internal/x needs or excludes linux",
		"internal/x under internal",
		"internal/x uses cgo",
		"vendor/golang.org/x/net has no doc comment",
		"vendor/golang.org/x/net under vendor",
	}
	if diff := cmp.Diff(want, members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}

	html, err := f.store.html(t.Context(), title{wikiStd, "fmt"})
	f.must(err)
	for _, part := range []string{
		`<p>Package fmt prints. See <a href="/std/io#Writer">io.Writer</a> and <a href="/std/fmt#Println">Println</a>.`,
		`<li><a href="/std/errors">errors</a>: Package errors makes errors.`,
	} {
		if !strings.Contains(html, part) {
			t.Errorf("the page std:fmt lacks %s\n%s", part, html)
		}
	}
	html, err = f.store.html(t.Context(), title{wikiInternal, "internal/x"})
	f.must(err)
	if part := `<a href="/std/C?redlink=1" class="new">C</a>`; !strings.Contains(html, part) {
		t.Errorf("the page internal:internal/x lacks %s\n%s", part, html)
	}
	if text, err := f.report(); err != nil {
		t.Errorf("report = %v\n%s", err, text)
	}
}

// Whatever order pages are stored in, links that were red when their page was
// rendered turn blue.
func TestRedLinksTurnBlue(t *testing.T) {
	f := newTestFarm(t, source(small))
	f.must(f.importPages(t.Context(), []title{{wikiCmd, "cmd/tool"}}))
	f.drain(0)
	if red := f.one("select sum(red) from rendered"); red != 2 {
		t.Fatalf("%d red links with one page, want 2", red)
	}
	f.must(f.importPages(t.Context(), []title{{wikiStd, "fmt"}}))
	f.drain(0)
	if red := f.one("select red from rendered join pages on page = id where path = 'cmd/tool'"); red != 1 {
		t.Errorf("%d red links on cmd/tool once fmt is there, want 1", red)
	}
}

func TestReportFindsWhatIsWrong(t *testing.T) {
	for _, breach := range []string{
		"delete from rendered where page = 1",
		"update pages set touched = touched + 1000000 where path = 'fmt'",
		"update rendered set red = red + 1 where page = 1",
		"delete from links where path = 'fmt'",
		"update pages set text = '' where path = 'fmt'",
		"delete from categorylinks where category = 'has tests'",
		"delete from members where category = 'has tests'",
		"insert into members values ('has tests', 3, 0) on conflict do update set category = 'has none'",
		"insert into jobs values ('lost', 'std', 'refreshLinks', 0, 0)",
	} {
		t.Run(breach, func(t *testing.T) {
			f := newTestFarm(t, source(small))
			f.importAll()
			f.drain(0)
			_, err := f.store.writer.ExecContext(t.Context(), breach)
			f.must(err)
			if text, err := f.report(); !errors.Is(err, errWrong) || !strings.Contains(text, "WRONG") {
				t.Errorf("report = %v, want %v\n%s", err, errWrong, text)
			}
		})
	}
}

func TestReportFindsJobsLeft(t *testing.T) {
	f := newTestFarm(t, source(small))
	f.importAll()
	f.drain(0)
	f.must(f.edit(t.Context(), title{wikiStd, "fmt"}))
	if text, err := f.report(); !errors.Is(err, errWrong) {
		t.Errorf("report = %v, want %v\n%s", err, errWrong, text)
	}
}

func TestDuplicates(t *testing.T) {
	f := newTestFarm(t, source(small))
	f.importAll()
	f.importAll()
	if n := f.one("select sum(jobs) from duplicates"); n != 6 {
		t.Errorf("%d duplicates after importing 6 pages twice, want 6", n)
	}
	f.drain(0)
	if n := f.one("select sum(runs) from jobs where type = 'refreshLinks'"); n != 6 {
		t.Errorf("refreshLinks ran %d times, want 6", n)
	}
}

// many returns a tree in which n packages import one.
func many(n int) tree {
	texts := map[string]string{"used/used.go": "package used"}
	for i := range n {
		texts[fmt.Sprintf("user%03d/user.go", i)] = "package user\nimport \"used\""
	}
	return source(texts)
}

var used = title{wikiStd, "used"}

// The pages that link to one are rendered range by range; of every range the
// pages come first, then one job for all other ranges.
func TestPartition(t *testing.T) {
	f := newTestFarm(t, many(2*rangeSize+20))
	f.importAll()
	f.drain(0)
	f.must(f.edit(t.Context(), used))

	type step struct {
		Pages   int
		Remnant bool
	}
	var steps []step
	seen := map[title]bool{}
	for remnant := true; remnant; {
		jobs, claims := f.pop(wikiStd, "htmlCacheUpdate")
		remnant = false
		var pages int
		for i, job := range jobs {
			j := job.(*htmlCacheUpdate)
			if remnant {
				t.Fatalf("%v comes after the fan-out, want that last", j.Page)
			}
			if remnant = j.Backlinks; !remnant {
				pages++
				seen[j.Page] = true
			}
			ctx := jobqueue.NewContext(t.Context(), claims[i])
			f.must(j.Run(ctx))
			f.must(f.queue.Settle(ctx, jobqueue.Outcome{Claim: claims[i], Do: jobqueue.ActionDone}))
		}
		steps = append(steps, step{pages, remnant})
	}
	want := []step{{0, true}, {rangeSize, true}, {rangeSize, true}, {20, false}}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps of the fan-out (-want +got):\n%s", diff)
	}
	if len(seen) != 2*rangeSize+20 || seen[used] {
		t.Errorf("the fan-out renders %d pages, %v among them: %v; want all but that", len(seen), used, seen[used])
	}
}

func TestTwoEditsBeforeTheFanOut(t *testing.T) {
	f := newTestFarm(t, many(100))
	f.importAll()
	f.drain(0)
	before := f.one("select sum(runs) from jobs where type = 'htmlCacheUpdate'")
	for range 2 {
		f.must(f.edit(t.Context(), used))
	}
	f.drain(0)
	// The pages and the page itself, a fan-out on each wiki, and one remnant.
	if n := f.one("select sum(runs) from jobs where type = 'htmlCacheUpdate'") - before; n != 101+3+1 {
		t.Errorf("two edits at once ran %d jobs, want %d", n, 101+3+1)
	}
	if text, err := f.report(); err != nil {
		t.Errorf("report = %v\n%s", err, text)
	}
}

func TestEditAfterTheFanOut(t *testing.T) {
	f := newTestFarm(t, many(100))
	f.importAll()
	f.drain(0)
	f.must(f.edit(t.Context(), used))
	f.drain(20)
	f.must(f.edit(t.Context(), used))
	f.drain(0)
	if n := f.one("select sum(superseded) from jobs"); n == 0 {
		t.Error("no job is superseded by an edit in the middle of the fan-out of another")
	}
	if text, err := f.report(); err != nil {
		t.Errorf("report = %v\n%s", err, text)
	}
}
