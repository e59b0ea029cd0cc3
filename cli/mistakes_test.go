package cli_test

import (
	"strings"
	"testing"
)

// Every mistake in the flags is one line that says what would be right, and nothing is done.
func TestBadFlags(t *testing.T) {
	s := newStock(t)
	for _, test := range []struct{ command, want string }{
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
		{"runjobs --wait=maybe", `invalid argument "maybe" for "--wait" flag: it must be true or false`},
		{"runjobs null", `unexpected argument "null", only flags are allowed here`},
		{"runjobs --config none.yaml", "open none.yaml: no such file or directory"},
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
		s.refuses(test.command, 2, test.want)
	}
}

// Every mistake in a line is one line that names its number, and status 2.
func TestBadLines(t *testing.T) {
	s := newStock(t)
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
		s.refusesLine(test.line, test.want)
	}
}
