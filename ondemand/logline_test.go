package ondemand_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A line is written for a run that did something, and with Debug for others.
func TestLog(t *testing.T) {
	west := time.FixedZone("west", -8*3600)
	began := time.Date(2026, 11, 22, 1, 48, 57, 999_800_000, west)
	names := []string{"jobs", "mails"}
	run := func(err error, counts ...int) ondemand.Run {
		return ondemand.Run{Domain: "My Test\u00a0Wiki", Token: 7, Began: began, Took: 412 * time.Microsecond, Names: names, Counts: counts, Err: err}
	}
	crashed := run(nil, 1, 0)
	crashed.Crashed = 6
	silent := run(nil, 0, 0)
	silent.Crashed = 6
	two := errors.Join(errors.New("mails: no"), errors.New("jobs: neither"))
	const head = "2026-11-22 09:48:58 My-Test-Wiki "
	const json = `{"time":"2026-11-22T09:48:58.000212Z","domain":"My Test` + "\u00a0" + `Wiki","token":7,`
	for _, test := range []struct {
		name        string
		run         ondemand.Run
		text, debug string // debug: "" if it is the same
		json        string
	}{
		{"both", run(nil, 3, 1), "3 jobs 1 mails elapse-time 412 us\n", "", `"done":{"jobs":3,"mails":1},"elapse_us":412}` + "\n"},
		{"one", run(nil, 0, 1), "1 mails elapse-time 412 us\n", "", `"done":{"mails":1},"elapse_us":412}` + "\n"},
		{"nothing", run(nil, 0, 0), "", "no-op elapse-time 412 us\n", ""},
		{"errors", run(two, 2, 0), "2 jobs 2 errors elapse-time 412 us\n", "", `"done":{"jobs":2},"elapse_us":412,"error":"mails: no\njobs: neither"}` + "\n"},
		{"crashed", crashed, "previous run 6 crashed\n" + head + "1 jobs elapse-time 412 us\n", "", `"done":{"jobs":1},"elapse_us":412,"crashed":6}` + "\n"},
		{"crashed silent", silent, "previous run 6 crashed\n", "previous run 6 crashed\n" + head + "no-op elapse-time 412 us\n", `"done":{},"elapse_us":412,"crashed":6}` + "\n"},
	} {
		if test.debug == "" {
			test.debug = test.text
		}
		for _, l := range []struct {
			log  ondemand.Log
			want string
		}{{ondemand.Log{}, head + test.text}, {ondemand.Log{Debug: true}, head + test.debug}, {ondemand.Log{JSON: true}, json + test.json}} {
			l.log.Path = filepath.Join(t.TempDir(), "run.log")
			l.log.Write(test.run)
			l.log.Write(test.run)
			got, err := os.ReadFile(l.log.Path)
			if strings.HasSuffix(l.want, " ") || strings.HasSuffix(l.want, ",") { // nothing is to be said
				l.want = ""
				if os.IsNotExist(err) {
					err = nil
				}
			}
			if diff := cmp.Diff(l.want+l.want, string(got)); err != nil || diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s%v", test.name, l.log, diff, err)
			}
		}
	}
}

// The line of a run in which a Work panicked ends so, and the run is over for all that.
func TestLogPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "run.log")
		log := &ondemand.Log{Path: path}
		s := newSite(t, queuememory.New(), nothing, func(o *ondemand.Options) {
			o.OnRun = log.Write
			o.Work = []ondemand.Work{
				{Name: "jobs", Do: func(context.Context, string) (int, error) { return 2, nil }},
				{Name: "mails", Do: func(context.Context, string) (int, error) { panic("oh no") }},
			}
		})
		s.Poke("wiki")
		synctest.Wait()
		text, err := os.ReadFile(path)
		if err != nil || !regexp.MustCompile(`^[0-9-]{10} [0-9:]{8} wiki 2 jobs panic\n$`).Match(text) {
			t.Errorf("the log says %q, %v", text, err)
		}
	})
}

// A file that cannot be opened is a warning that names it.
func TestLogAway(t *testing.T) {
	var said bytes.Buffer
	path := filepath.Join(t.TempDir(), "none", "run.log")
	l := &ondemand.Log{Path: path, Logger: slog.New(slog.NewTextHandler(&said, nil))}
	l.Write(ondemand.Run{Domain: "wiki", Names: []string{"jobs"}, Counts: []int{1}})
	if !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "file="+path) {
		t.Errorf("the warning is %q", &said)
	}
}
