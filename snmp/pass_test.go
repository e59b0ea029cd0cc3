package snmp_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/wikifarm/jobqueue/snmp"
)

func oid(t *testing.T, s string) snmp.OID {
	t.Helper()
	o, ok := snmp.ParseOID(s)
	if !ok {
		t.Fatalf("ParseOID(%q) fails", s)
	}
	return o
}

func table(t *testing.T) *snmp.Table {
	return snmp.NewTable(
		snmp.Gauge(oid(t, ".1.3.10.0"), 10),
		snmp.Gauge(oid(t, ".1.3.9.0"), math.MaxInt),
		snmp.Integer(oid(t, ".1.3.2"), -3),
		snmp.Text(oid(t, ".1.3.9"), "a\nb\x00c"),
		snmp.Text(oid(t, ".1.3.11").PlusString("ab"), strings.Repeat("é", 200)),
	)
}

func TestPass(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"PING\n":                       "PONG\n",
		"PING\n\nPING\n":               "PONG\n",
		"ping\n":                       "NONE\n",
		"get\n.1.3.2\n":                ".1.3.2\ninteger\n-3\n",
		"get\n1.3.2\n":                 ".1.3.2\ninteger\n-3\n",
		"get\n.1.3\n":                  "NONE\n",
		"get\n.1.3.2.0\n":              "NONE\n",
		"get\n.1.x\n":                  "NONE\n",
		"get\n":                        "NONE\n",
		"get\n.1.3.9.0\n":              ".1.3.9.0\ngauge\n4294967295\n",
		"get\n.1.3.9\n":                ".1.3.9\nstring\na b c\n",
		"getnext\n.1\n":                ".1.3.2\ninteger\n-3\n",
		"getnext\n.1.3.2\n":            ".1.3.9\nstring\na b c\n",
		"getnext\n.1.3.9\n":            ".1.3.9.0\ngauge\n4294967295\n",
		"getnext\n.1.3.9.0\n":          ".1.3.10.0\ngauge\n10\n",
		"getnext\n.1.3.9.5\n":          ".1.3.10.0\ngauge\n10\n",
		"getnext\n.1.3.10.0\n":         ".1.3.11.2.97.98\nstring\n" + strings.Repeat("é", 127) + "\n",
		"getnext\n.1.3.11.2.97.98\n":   "NONE\n",
		"getnext\n.2\n":                "NONE\n",
		"set\n.1.3.2\ninteger 5\nPING": "not-writable\nPONG\n",
	} {
		var out strings.Builder
		err := snmp.Pass(strings.NewReader(in), &out, func() *snmp.Table { return table(t) })
		if out.String() != want || err != nil {
			t.Errorf("Pass(%q) = %q, %v, want %q", in, out.String(), err, want)
		}
	}
}

// Each answer is there before the next request is.
func TestPassAnswersAtOnce(t *testing.T) {
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error)
	go func() { done <- snmp.Pass(in, out, func() *snmp.Table { return table(t) }) }()
	for range 3 {
		if _, err := io.WriteString(requests, "get\n.1.3.2\n"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(".1.3.2\ninteger\n-3\n"))
		if _, err := io.ReadFull(answers, got); err != nil || string(got) != ".1.3.2\ninteger\n-3\n" {
			t.Fatalf("the answer is %q, %v", got, err)
		}
	}
	requests.Close()
	if err := <-done; err != nil {
		t.Errorf("Pass = %v at the end of the input, want none", err)
	}
}

func TestPassFails(t *testing.T) {
	broken := errors.New("broken")
	if err := snmp.Pass(iotest.ErrReader(broken), io.Discard, nil); !errors.Is(err, broken) {
		t.Errorf("Pass = %v, want %v", err, broken)
	}
	_, out := io.Pipe()
	out.CloseWithError(broken)
	if err := snmp.Pass(strings.NewReader("PING\nPING\n"), out, nil); err == nil {
		t.Error("Pass goes on though nobody reads the answers")
	}
	if err := snmp.Pass(strings.NewReader(strings.Repeat("x", 1<<20)), io.Discard, nil); err == nil {
		t.Error("Pass takes a line of a MiB")
	}
}

func TestParseOID(t *testing.T) {
	for _, s := range []string{"", ".", "1..2", "-1", "+1", "1.4294967296", "1 2", "1.", strings.Repeat(".1", 129), "a"} {
		if o, ok := snmp.ParseOID(s); ok {
			t.Errorf("ParseOID(%q) = %v, want none", s, o)
		}
	}
	for _, s := range []string{".0", ".1.4294967295", strings.Repeat(".1", 128)} {
		if o, ok := snmp.ParseOID(s); !ok || o.String() != s {
			t.Errorf("ParseOID(%q) = %v, %v", s, o, ok)
		}
	}
}
