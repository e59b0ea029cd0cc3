package queuetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue"
)

// An edit of a template that is used on many pages pushes a root job, which fans out.
var fanoutRules = []testCase{
	{"one edit", "jobs that come from one edit share a Root, and each of them runs", testFanOutOne},
	{"pushed twice", "a root pushed twice before the drain gives exactly one full fan-out", testFanOutTwice},
	{"pushed twice, not deduplicated", "a newer root of the same key supersedes the jobs of an older one, which are settled unrun", testFanOutTwicePlain},
	{"edited before", "no edit's work is lost between dedupe and root jobs: two edits before the fan-out", testFanOutBefore},
	{"edited after", "no edit's work is lost between dedupe and root jobs: the second edit after the fan-out", testFanOutAfter},
	{"edited midway", "no edit's work is lost between dedupe and root jobs: the second edit midway", testFanOutMidway},
	{"two templates", "a job that stands for the work of two roots is superseded by neither", testFanOutTwoTemplates},
	{"edited late", "a newer root supersedes an older one that is pushed late", testFanOutLate},
}

// pages is how many pages use the template.
const pages = 7

// A farm runs root jobs and what they fan out into.
type farm struct {
	*tester
	g    *jobqueue.Group
	runs []pageRun
}

// A pageRun is one run of the job of a page.
type pageRun struct {
	page int
	root jobqueue.Root
}

func newFarm(t *tester) *farm { return &farm{tester: t, g: t.group(jobqueue.Routes{})} }

// edit pushes the root job of an edit.
func (f *farm) edit(key string, at time.Time) { f.editAs(key, at, true) }

func (f *farm) editAs(key string, at time.Time, dedupe bool) {
	f.Helper()
	f.pushSpecs(jobqueue.Spec{
		Type: "root", Params: json.RawMessage(`{"n":0}`), Dedupe: dedupe, Root: jobqueue.Root{Key: key, Time: at},
	})
}

func (f *farm) pushSpecs(specs ...jobqueue.Spec) {
	f.Helper()
	_, err := f.g.Push(f.Context(), specs...)
	f.ok(err, "Push")
}

// run runs up to n jobs, of roots and of pages.
func (f *farm) run(n int) {
	f.Helper()
	for range n {
		claims, err := f.g.Pop(f.Context(), newLease(), f.want("root", 1))
		f.ok(err, "Pop")
		if len(claims) == 0 {
			claims, err = f.g.Pop(f.Context(), newLease(), f.want("page", 1))
			f.ok(err, "Pop")
		}
		if len(claims) == 0 {
			return
		}
		f.runOne(claims[0])
		f.ok(f.g.Settle(f.Context(), done(claims[0])), "Settle")
	}
}

// runOne runs one job: a root pushes three pages and a root for the rest of them.
func (f *farm) runOne(c *jobqueue.Claim) {
	f.Helper()
	from := numberOf(c.Params)
	if c.Type == "page" {
		f.runs = append(f.runs, pageRun{from, c.Root})
		return
	}
	var children []jobqueue.Spec
	for n := from; n < min(from+3, pages); n++ {
		children = append(children, jobqueue.Spec{Type: "page", Params: job(n).Params, Dedupe: true, Root: c.Root})
	}
	if from+3 < pages {
		children = append(children, jobqueue.Spec{Type: "root", Params: job(from + 3).Params, Dedupe: true, Root: c.Root})
	}
	f.pushSpecs(children...)
}

// ran drains, and wants so many runs in all, every page being among those of the last edit.
func (f *farm) ran(total int, since time.Time) {
	f.Helper()
	f.run(1000)
	last := map[int]bool{}
	for _, c := range f.runs {
		if c.root.Key == "" || !c.root.Time.Before(since) {
			last[c.page] = true
		}
	}
	if len(f.runs) != total || len(last) != pages {
		f.Fatalf("%d runs, of %d pages since the last edit: %s; want %d runs of %d", len(f.runs), len(last), fmt.Sprint(f.runs), total, pages)
	}
	for _, typ := range []string{"root", "page"} {
		f.countsOf(f.want(typ, 0).Name, 0, 0, 0, 0)
	}
}

func testFanOutOne(t *tester) {
	f := newFarm(t)
	f.edit("template", day(1))
	f.ran(pages, day(1))
}

func testFanOutTwice(t *tester) {
	f := newFarm(t)
	f.edit("template", time.Time{})
	t.jump(time.Second)
	f.edit("template", time.Time{})
	f.ran(pages, day(1))
}

func testFanOutTwicePlain(t *tester) {
	f := newFarm(t)
	f.editAs("template", day(1), false)
	f.editAs("template", day(2), false)
	f.ran(pages, day(2))
}

func testFanOutBefore(t *tester) {
	f := newFarm(t)
	f.edit("template", day(1))
	f.edit("template", day(2))
	f.ran(pages, day(2))
}

func testFanOutAfter(t *tester) {
	f := newFarm(t)
	f.edit("template", day(1))
	f.run(3) // three roots; every page waits
	t.countsOf(t.want("page", 0).Name, pages, 0, 0, 0)
	f.edit("template", day(2))
	f.ran(pages, day(2))
}

func testFanOutMidway(t *tester) {
	f := newFarm(t)
	f.edit("template", day(1))
	f.run(5) // three roots and two pages
	if len(f.runs) != 2 {
		t.Fatalf("%d pages ran, want 2", len(f.runs))
	}
	f.edit("template", day(2))
	f.run(1) // the first root of the second edit
	f.edit("template", day(3))
	f.ran(pages+2, day(3))
}

func testFanOutTwoTemplates(t *tester) {
	f := newFarm(t)
	f.edit("one", day(1))
	f.run(3)
	f.pushSpecs(jobqueue.Spec{Type: "page", Params: job(4).Params, Dedupe: true, Root: jobqueue.Root{Key: "two", Time: day(1)}})
	_, err := t.b.MarkRoots(t.Context(),
		jobqueue.Mark{Name: t.want("page", 0).Name, Key: "one", Time: day(2)},
		jobqueue.Mark{Name: t.want("page", 0).Name, Key: "two", Time: day(2)})
	t.ok(err, "MarkRoots")
	f.run(1000)
	if len(f.runs) != 1 || f.runs[0].page != 4 {
		t.Fatalf("%v ran, want page 4 alone", f.runs)
	}
}

func testFanOutLate(t *tester) {
	f := newFarm(t)
	f.edit("template", day(2))
	f.run(1000)
	f.edit("template", day(1))
	f.ran(pages, day(2))
}
