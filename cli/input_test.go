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

// Every mistake in the flags is one line that says what would be right, and status 2.
func TestBadFlags(t *testing.T) {
	in(t)
	if err := os.WriteFile("bad.yaml", []byte("backend: {}\ntypes: {a: {lease: 3}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"runjobs --maxjob 3", "unknown flag: --maxjob, the flags are --config, --domain, --grace, --help, --maxjobs, --maxtime, --memory-limit, --nothrottle, --procs, --result, --type, --version, --wait"},
		{"runjobs --maxjobs", "flag needs an argument: --maxjobs"},
		{"runjobs --maxjobs 0", `invalid argument "0" for "--maxjobs" flag: it must be a whole number, at least 1`},
		{"runjobs --maxjobs=1e3", `invalid argument "1e3" for "--maxjobs" flag: it must be a whole number, at least 1`},
		{"runjobs --maxtime soon", `invalid argument "soon" for "--maxtime" flag: it must be a number of seconds, more than 0, or such as 90s or 10m`},
		{"runjobs --maxtime 0", `invalid argument "0" for "--maxtime" flag: it must be a number of seconds, more than 0, or such as 90s or 10m`},
		{"runjobs --maxtime NaN", `invalid argument "NaN" for "--maxtime" flag: it must be a number of seconds, more than 0, or such as 90s or 10m`},
		{"runjobs --procs 1001", `invalid argument "1001" for "--procs" flag: it must be a whole number from 1 to 1000`},
		{"runjobs --memory-limit 150MB", `invalid argument "150MB" for "--memory-limit" flag: it must be a number of bytes, such as 150M or 2G`},
		{"runjobs --memory-limit 9999999999G", `invalid argument "9999999999G" for "--memory-limit" flag: it must be a number of bytes, such as 150M or 2G`},
		{"runjobs --grace -1s", `invalid argument "-1s" for "--grace" flag: it must be a length of time, such as 90s, 10m or 7d`},
		{"runjobs --result yaml", `invalid argument "yaml" for "--result" flag: it must be json`},
		{"runjobs --wait=maybe", `invalid argument "maybe" for "--wait" flag: strconv.ParseBool: parsing "maybe": invalid syntax`},
		{"runjobs null", `unexpected argument "null", only flags are allowed here`},
		{"runjobs --config none.yaml", "open none.yaml: no such file or directory"},
		{"runjobs --config bad.yaml", `bad.yaml:1: unknown key "backend" of the farm file, the keys are backends, default, domains, domainsFile, readOnly, types` + "\n" +
			`bad.yaml:2: types.a.lease must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, not "3"`},
		{"jobctl push --type", "flag needs an argument: --type"},
		{"jobctl push --type=", `invalid argument "" for "--type" flag: it must be 1 to 255 bytes of UTF-8 without control characters`},
		{"jobctl push --type null --domain=", `invalid argument "" for "--domain" flag: it must be 1 to 255 bytes of UTF-8 without control characters`},
		{"jobctl delete --type null --domain=", `invalid argument "" for "--domain" flag: it must be 1 to 255 bytes of UTF-8 without control characters`},
		{"runjobs --domain=", `invalid argument "" for "--domain" flag: it must be 1 to 255 bytes of UTF-8 without control characters`},
		{"jobctl push --type null --params {", `invalid: parameters are not JSON: "{"`},
		{"jobctl push --type null --params []", `invalid: parameters are not a JSON object: "[]"`},
		{"jobctl push --type null --params ", `invalid: parameters are not JSON: ""`},
		{"jobctl push --type null --delay 10", `invalid argument "10" for "--delay" flag: it must be a length of time, such as 90s, 10m or 7d`},
		{"jobctl push --type null --root-time 2026-01-02T03:04:05Z", "invalid: root has a time but no key"},
		{"jobctl push --type null --root-time yesterday", `invalid argument "yesterday" for "--root-time" flag: it must be a time such as 2006-01-02T15:04:05Z`},
		{"jobctl push --type null --max-tries 0", `invalid argument "0" for "--max-tries" flag: it must be a whole number from 1 to 2147483647`},
		{"jobctl push --type null --from-line 3", "--from-line is for jobs on standard input, it does not go with --type"},
		{"jobctl push --delay 3s", "--delay needs --type; for jobs on standard input write it into the lines"},
		{"jobctl push --from-line 0", `invalid argument "0" for "--from-line" flag: it must be a whole number, at least 1`},
		{"jobctl push --type a\x1b", `invalid argument "a\x1b" for "--type" flag: it must be 1 to 255 bytes of UTF-8 without control characters`},
		{"jobctl list --status done", `invalid argument "done" for "--status" flag: it must be one of ready, delayed, claimed, abandoned`},
		{"jobctl list --limit 0", `invalid argument "0" for "--limit" flag: it must be a whole number from 1 to 2147483647`},
		{"jobctl show --groups", "unknown flag: --groups, the flags are --config, --domain, --group, --help, --json, --type"},
		{"jobctl delete", "delete what? Give --id, --type, --domain or --status, or --all for every job of the farm"},
		{"jobctl run-one", "give --id, or --type and --params"},
		{"jobctl nonsense", "unknown command \"nonsense\", the commands are check, completion, config, delete, list, migrate, pause, push, requeue, resume, run-one, runners, show, why"},
	} {
		words := strings.Split(test.args, " ")
		c := cli.JobCtl(cli.App{})
		if words[0] == "runjobs" {
			c = cli.RunJobs(cli.App{})
		}
		args := words[1:]
		if !strings.Contains(test.args, "--config") && len(args) > 0 && args[0] != "nonsense" {
			args = append(args, "--config=farm.yaml")
		}
		if strings.HasSuffix(test.args, "--type") || strings.HasSuffix(test.args, "--maxjobs") {
			args = words[1:]
		}
		status, stdout, stderr := execute(c, strings.NewReader(""), args...)
		var want strings.Builder
		for line := range strings.SplitSeq(test.want, "\n") {
			fmt.Fprintf(&want, "%s: %s\n", words[0], line)
		}
		if status != 2 || stderr != want.String() || stdout != "" {
			t.Errorf("%q: status %d\n got %swant %s%s", test.args, status, stderr, want.String(), stdout)
		}
	}
}

// Every mistake in a line is one line that names its number, and status 2.
func TestBadLines(t *testing.T) {
	in(t)
	const keys = "type, domain, params, delay, releaseAt, dedupe, dedupeKey, root, rootTime, maxTries, headers"
	for _, test := range []struct{ line, want string }{
		{`x`, `it is not a JSON object: "x"`},
		{`[]`, `it is not a JSON object: "[]"`},
		{`{`, `the JSON object is not closed`},
		{`{"type":"null"`, `the JSON object is not closed`},
		{`{"type":"null",}`, `it is not valid JSON: invalid character '}'`},
		{`{"type":null}`, `"type" must be a string, not null`},
		{`{"type":3}`, `"type" must be a string, not 3`},
		{`{"type":""}`, `it has no "type"`},
		{`{}`, `it has no "type"`},
		{`{"type":"a"} {}`, `there is something after the object`},
		{`{"type":"a"}]`, `there is something after the object`},
		{`{"Type":"a"}`, `unknown key "Type", the keys are ` + keys},
		{`{"type":"a","max-tries":3}`, `unknown key "max-tries", the keys are ` + keys},
		{`{"type":"a","type":"a"}`, `key "type" appears twice`},
		{`{"type":"a","params":[]}`, `"params" must be a JSON object, not []`},
		{`{"type":"a","params":"{}"}`, `"params" must be a JSON object, not "{}"`},
		{`{"type":"a","params":{"b":1,}}`, `it is not valid JSON: invalid character '}'`},
		{`{"type":"a","params":{"b":1,"b":2},"dedupe":true}`, `"params": key "b" appears twice`},
		{`{"type":"a","params":{"a":[{"b":1,"c":{"b":1}},"b","b",{"\u0062":2,"b":2}]}}`, `"params": key "b" appears twice`},
		{`{"type":"a","\u0074ype":"b"}`, `key "type" appears twice`},
		{`{"type":"a","domain":null}`, `"domain" must be a string, not null`},
		{`{"type":"a","params":null}`, `"params" must be a JSON object, not null`},
		{`{"type":"a","delay":null}`, `"delay" must be a length of time, such as "90s" or "7d", not null`},
		{`{"type":"a","dedupe":null}`, `"dedupe" must be true or false, not null`},
		{`{"type":"a","delay":10}`, `"delay" must be a length of time, such as "90s" or "7d", not 10`},
		{`{"type":"a","delay":"soon"}`, `"delay" must be a length of time, such as "90s" or "7d", not "soon"`},
		{`{"type":"a","delay":"-1s"}`, `invalid: delay -1s is negative`},
		{`{"type":"a","delay":"1s","releaseAt":"2030-01-02T03:04:05Z"}`, `invalid: give either a delay or a release time`},
		{`{"type":"a","releaseAt":"tomorrow"}`, `"releaseAt" must be a time such as "2006-01-02T15:04:05Z", not "tomorrow"`},
		{`{"type":"a","dedupe":"yes"}`, `"dedupe" must be true or false, not "yes"`},
		{`{"type":"a","maxTries":1.5}`, `"maxTries" must be a whole number from 1 to 2147483647, not 1.5`},
		{`{"type":"a","maxTries":-1}`, `"maxTries" must be a whole number from 1 to 2147483647, not -1`},
		{`{"type":"a","maxTries":0}`, `"maxTries" must be a whole number from 1 to 2147483647, not 0`},
		{`{"type":"a","maxTries":null}`, `"maxTries" must be a whole number from 1 to 2147483647, not null`},
		{`{"type":"a","maxTries":2147483648}`, `"maxTries" must be a whole number from 1 to 2147483647, not 2147483648`},
		{`{"type":"a","root":{"key":"k","time":"2030-01-02T03:04:05Z"},"rootTime":"2030-01-02T03:04:05Z"}`, `"rootTime": the time of the root is given twice`},
		{`{"type":"a","rootTime":"2030-01-02T03:04:05Z","root":{"key":"k","time":"2031-01-02T03:04:05Z"}}`, `"root": the time of the root is given twice`},
		{`{"type":"a","root":{"key":"k","key":"l"}}`, `"root": key "key" appears twice`},
		{`{"type":"a","root":{"KEY":"k"}}`, `"root" must be a string, or an object {"key": …, "time": …}, not {"KEY":"k"}`},
		{`{"type":"a","root":{"key":null}}`, `"root" must be a string, or an object {"key": …, "time": …}, not {"key":null}`},
		{`{"type":"a","root":{"key":"k","time":null}}`, `"root" must be a string, or an object {"key": …, "time": …}, not {"key":"k","time":null}`},
		{`{"type":"a","root":null}`, `"root" must be a string, or an object {"key": …, "time": …}, not null`},
		{`{"type":"a","root":{"key":"k","tme":1}}`, `"root" must be a string, or an object {"key": …, "time": …}, not {"key":"k","tme":1}`},
		{`{"type":"a","root":{"time":"2030-01-02T03:04:05Z"}}`, `"root" must be a string, or an object {"key": …, "time": …}, not {"time":"2030-01-02T03:04:05Z"}`},
		{`{"type":"a","rootTime":"2030-01-02T03:04:05Z"}`, `invalid: root has a time but no key`},
		{`{"type":"a","headers":{"a":1}}`, `"headers" must be an object of strings, not {"a":1}`},
		{`{"type":"a","headers":{"a":null}}`, `"headers" must be an object of strings, not {"a":null}`},
		{`{"type":"a","headers":{"a":"b","a":"c"}}`, `"headers": key "a" appears twice`},
		{`{"type":"a","headers":null}`, `"headers" must be an object of strings, not null`},
		{`{"type":"a","headers":["a"]}`, `"headers" must be an object of strings, not ["a"]`},
		{`{"type":"a\u0007"}`, `invalid: type "a\a" has a control character`},
		{`{"type":"\ud800"}`, `"type" must be a string, not "\ud800"`},
		{"{\"type\":\"a\xff\"}", `it is not UTF-8`},
		{`{"type":"a","params":{"b":"` + strings.Repeat("x", 1<<20) + `"}}`, `too large: parameters have 1048584 bytes, at most 1048576 are allowed`},
		{`{"type":"a","params":{"b":"` + strings.Repeat("x", 3<<20) + `"}}`, `too large: it is over 2097152 bytes`},
	} {
		status, stdout, stderr := execute(cli.JobCtl(cli.App{}), strings.NewReader("{\"type\":\"null\"}\n\n"+test.line+"\n"), "push", "--config", "farm.yaml")
		want := "jobctl: line 3: " + test.want
		end := " (stored up to line 1, go on with --from-line 2)\n"
		if status != 2 || !strings.HasPrefix(stderr, want) || !strings.HasSuffix(stderr, end) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%.60q: status %d\n got %swant %s%s", test.line, status, stderr, want, end)
		}
		if !strings.HasPrefix(stdout, "stored 1 jobs,") {
			t.Errorf("%.60q: %s", test.line, stdout)
		}
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
