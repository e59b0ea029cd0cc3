package queuetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wikifarm/jobqueue"
)

var paramRules = []testCase{
	{"byte for byte", "Params is a JSON object, kept byte for byte", testParamsExact},
	{"through all states", "Params is kept byte for byte, through retry, abandonment and requeueing", testParamsStates},
	{"largest", "parameters have up to DefaultMaxParams bytes, unless a route says otherwise", testParamsLargest},
	{"headers", "headers are carried along", testParamsHeaders},
}

var params = []string{
	`{}`,
	"{\"z\": 1,\t\"a\" :\n  2 ,\r\n\"m\":[ ]}  ",
	`{"a":1,"a":2}`,
	`{"nul":"\u0000","esc":"\u00e9\/\ud83d\ude00","lone":"\ud800"}`,
	`{"é":"日本 😀 ` + "\u2028\u200b\ufffd" + `"}`,
	`{"min":-9223372036854775808,"max":9223372036854775807,"u":18446744073709551615}`,
	`{"f":1.0,"e":1E+2,"big":123456789012345678901234567890.000,"neg":-0}`,
	`{"q":"'; drop table jobs; --","b":"\\\"%s$1?{}"}`,
	`{"deep":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}`,
}

func testParamsExact(t *tester) {
	var records []jobqueue.Record
	for _, p := range params {
		records = append(records, jobqueue.Record{Params: json.RawMessage(p)})
	}
	ids := t.stores(records...)
	for i, c := range t.pop(len(params)) {
		if string(c.Params) != params[i] {
			t.Errorf("Pop returned the parameters %q, want %q", c.Params, params[i])
		}
		if e := t.entry(ids[i]); string(e.Params) != params[i] {
			t.Errorf("List yields the parameters %q, want %q", e.Params, params[i])
		}
	}
}

func testParamsStates(t *tester) {
	for _, p := range params {
		t.stores(jobqueue.Record{Params: json.RawMessage(p)})
	}
	t.settle(each(t.pop(len(params)), retry(nil, 0))...)
	t.settle(each(t.pop(len(params)), abandon(nil, 0))...)
	t.requeues(len(params), jobqueue.Filter{})
	got := map[string]bool{}
	for _, c := range t.pop(len(params)) {
		got[string(c.Params)] = true
	}
	for _, p := range params {
		if !got[p] {
			t.Errorf("no job has the parameters %q any more", p)
		}
	}
}

func testParamsLargest(t *tester) {
	p := heavy(1, jobqueue.DefaultMaxParams)[0].Params
	id := t.stores(jobqueue.Record{Params: p}, job(2))[0]
	claims := t.pop(2)
	if len(claims) != 2 || !bytes.Equal(claims[0].Params, p) || !bytes.Equal(t.entry(id).Params, p) {
		t.Fatalf("1 MiB of parameters came back as something else")
	}
}

func testParamsHeaders(t *tester) {
	r := job(1)
	r.Headers = map[string]string{}
	for i, s := range awkward {
		r.Headers[s] = fmt.Sprint(i, s)
	}
	r.Headers["long"] = strings.Repeat("h", 8<<10)
	t.stores(r)
	sameRecord(t, t.hands(1)[0].Record, t.named([]jobqueue.Record{r})[0], "Pop")
}
