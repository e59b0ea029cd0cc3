package queuetest

import (
	"slices"
	"strings"

	"github.com/wikifarm/jobqueue"
)

var nameRules = []testCase{
	{"types", "two different names are always different queues, whatever characters they hold: types", testNameTypes},
	{"domains", "two different names are always different queues, whatever characters they hold: domains", testNameDomains},
	{"across", "two different names are always different queues: what is moved from domain to type", testNameAcross},
	{"long", "both parts of a name are 1 to 255 bytes", testNameLong},
	{"filters", "a Filter matches a domain and a type as they are, not as a pattern", testNameFilters},
}

// awkward are strings that careless escaping, joining or comparing would confuse.
var awkward = []string{
	"a", "A", "a ", " a", "a:b", "a::b", "a/b", "a%2Fb", "a%", "%", "_", "*", "?", "[a]", "{a}", "a|b", "a,b", "a\\", `a\b`, `"a"`, "'a'", "a''", "--", ";",
	"é", "e\u0301", "É", "ß", "ss", "ﬁ", "fi", "日本", "😀", "\u200b", "a\u00a0", "\u2028", "\ufffd", "0", "00", "1e0", "true", "null", "$1", "a.b", "a-b",
}

// fill pushes job i to the ith name, and checks that each queue holds it alone.
func (t *tester) fill(names []jobqueue.Name) {
	t.Helper()
	records := make([]jobqueue.Record, len(names))
	for i, n := range names {
		records[i] = unique(job(i), "same")
		records[i].Name = n
	}
	t.stores(records...)
	counts, err := t.b.Counts(t.Context(), names...)
	t.ok(err, "Counts")
	for i, n := range names {
		if counts[i].Name != n || counts[i].Ready != 1 {
			t.Fatalf("Counts(%q) = %+v, want 1 ready", n, counts[i])
		}
	}
	for i, n := range names {
		for r, err := range t.b.Ready(t.Context(), n) {
			if t.ok(err, "Ready"); r.Name != n {
				t.Fatalf("Ready(%q) yields %q", n, r.Name)
			}
		}
		claims := t.popAs(newLease(), jobqueue.Want{Name: n, Max: 2})
		if t.same(claims, i); claims[0].Name != n {
			t.Fatalf("Pop of %q returned a job of %q", n, claims[0].Name)
		}
	}
}

func testNameTypes(t *tester) {
	var names []jobqueue.Name
	for _, s := range awkward {
		names = append(names, jobqueue.Name{Domain: t.q.Domain, Type: s})
	}
	t.fill(names)
}

func testNameDomains(t *tester) {
	var names []jobqueue.Name
	for _, s := range awkward {
		names = append(names, jobqueue.Name{Domain: t.q.Domain + s, Type: t.q.Type})
	}
	t.fill(names)
}

func testNameAcross(t *tester) {
	var names []jobqueue.Name
	for _, sep := range []string{":", "/", "%", " ", "|", "\\", ",", ".", "-", "_"} {
		d := t.q.Domain
		names = append(names, jobqueue.Name{Domain: d + sep + "a", Type: "b"}, jobqueue.Name{Domain: d, Type: "a" + sep + "b"},
			jobqueue.Name{Domain: d + sep, Type: "a" + sep}, jobqueue.Name{Domain: d + sep + sep, Type: "a"}, jobqueue.Name{Domain: d, Type: sep + sep + "a"})
	}
	t.fill(names)
}

func testNameLong(t *tester) {
	domain := t.q.Domain + strings.Repeat("é", 255)
	domain = strings.ToValidUTF8(domain[:255], "x")
	t.fill([]jobqueue.Name{
		{Domain: domain, Type: strings.Repeat("t", 255)},
		{Domain: domain, Type: strings.Repeat("t", 254)},
		{Domain: domain, Type: strings.Repeat("t", 254) + "u"},
		{Domain: strings.ToValidUTF8(domain[:250], ""), Type: "t"},
	})
}

func testNameFilters(t *tester) {
	var records []jobqueue.Record
	for i, s := range awkward {
		records = append(records, typed(job(i), s))
	}
	t.stores(records...)
	for i, s := range awkward {
		if got := listed(t.list(jobqueue.Filter{Type: s})); !slices.Equal(got, []int{i}) {
			t.Fatalf("List of the type %q = %v, want job %d", s, got, i)
		}
	}
	t.deletes(1, jobqueue.Filter{Type: "%"})
	t.deletes(1, jobqueue.Filter{Type: "_"})
	t.deletes(len(awkward)-2, jobqueue.Filter{})
}
