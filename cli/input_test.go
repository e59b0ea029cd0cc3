package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/cli"
)

// execute runs a command line in this process.
func execute(c *cobra.Command, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	c.SetIn(stdin)
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetArgs(args)
	status = cli.Execute(c)
	return status, out.String(), errs.String()
}

// in makes an empty directory with a farm file of memory backends the current one.
func in(t testing.TB) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("farm.yaml", []byte("backends: {m: {kind: memory}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines makes JSON lines without end, and looks at the heap now and then.
type lines struct {
	n, left int
	rest    []byte
	peak    uint64
}

func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.n == l.left {
			return 0, io.EOF
		}
		l.n++
		l.rest = fmt.Appendf(nil, `{"type":"null","domain":"wiki%d","params":{"note":"%0100d"},"dedupe":%v}`+"\n", l.n%7, l.n, l.n%2 == 0)
		if l.n%5000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			l.peak = max(l.peak, m.HeapAlloc)
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// The memory of a push does not grow with the number of lines.
func TestPushMemory(t *testing.T) {
	t.Chdir(t.TempDir())
	peak := func(n int) uint64 {
		in := &lines{left: n}
		status, stdout, stderr := execute(cli.JobCtl(cli.App{}), in, "push")
		if want := fmt.Sprintf("stored %d jobs, dropped 0 duplicates", n); status != 0 || !strings.HasPrefix(stdout, want) {
			t.Fatalf("status %d, %s%s", status, stdout, stderr)
		}
		return in.peak
	}
	few := peak(5000)
	if err := os.RemoveAll("jobs.db"); err != nil {
		t.Fatal(err)
	}
	many := peak(30_000)
	t.Logf("heap of 5,000 lines %d KiB, of 30,000 lines %d KiB", few>>10, many>>10)
	// 25,000 lines that were kept would take over 8 MiB.
	if many > few+5<<20 {
		t.Errorf("heap of 30,000 lines is %d KiB, of 5,000 lines %d KiB", many>>10, few>>10)
	}
}

var badLine = regexp.MustCompile(`^jobctl: line \d+: [^\n]+ \((nothing is stored|stored up to line \d+, go on with --from-line \d+)\)\n$`)

// Any input is pushed whole, or refused with one line that names the place.
func FuzzJSONLines(f *testing.F) {
	for _, seed := range []string{
		`{"type":"null","params":{"a":[1,2.0e9,"\u00e9\ud83d\ude00",null]},"dedupe":true}` + "\n",
		`{"type":"a","domain":"b","delay":"10s","root":{"key":"k","time":"2030-01-02T03:04:05Z"}}` + "\r\n\n{\"type\":3}",
		`{"type":"a","headers":{"x":"y"},"maxTries":3,"dedupeKey":"k","releaseAt":"2030-01-02T03:04:05+02:00"} x`,
	} {
		f.Add([]byte(seed))
	}
	in(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		status, stdout, stderr := execute(cli.JobCtl(cli.App{}), bytes.NewReader(data), "push", "--config", "farm.yaml")
		var stored, duplicates int
		if _, err := fmt.Sscanf(stdout, "stored %d jobs, dropped %d duplicates in ", &stored, &duplicates); err != nil {
			t.Fatalf("%v: %q", err, stdout)
		}
		valid := 0
		for line := range bytes.Lines(data) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				if !json.Valid(line) {
					break
				}
				valid++
			}
		}
		switch status {
		case 0:
			if stored+duplicates != valid || stderr != "" {
				t.Errorf("stored %d, dropped %d of %d lines; %s", stored, duplicates, valid, stderr)
			}
		case 2:
			if !badLine.MatchString(stderr) || stored+duplicates > valid {
				t.Errorf("stored %d, dropped %d of %d lines; %s", stored, duplicates, valid, stderr)
			}
		default:
			t.Errorf("status %d: %s", status, stderr)
		}
	})
}
