package jobqueue_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

func newGroup(r jobqueue.Routes) *jobqueue.Group {
	if r.Default == nil {
		r.Default = queuememory.New()
	}
	return jobqueue.NewGroup("wiki", r)
}

func TestRecords(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6789, time.FixedZone("CET", 3600))
	records, err := newGroup(jobqueue.Routes{}).Records(
		jobqueue.Spec{Type: "t"},
		jobqueue.Spec{Type: "t", Domain: "other", Params: []byte(` {"b":1, "a":2}`), Dedupe: true, MaxTries: 4},
		jobqueue.Spec{Job: &mail{typed: "mail", To: []string{"a<b"}}, Delay: time.Minute, Headers: map[string]string{"h": "v"}},
		jobqueue.Spec{Type: "t", ReleaseAt: at, Root: jobqueue.Root{Key: "page", Time: at.AddDate(-10, 0, 0)}, DedupeKey: "k"},
		jobqueue.Spec{Type: "t", Root: jobqueue.Root{Key: "page"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := jobqueue.ParamsDigest([]byte(`{"a":2,"b":1}`))
	whole := time.Date(2030, 1, 2, 2, 4, 5, 6000, time.UTC)
	name := jobqueue.Name{Domain: "wiki", Type: "t"}
	want := []jobqueue.Record{
		{Name: name, Params: []byte(`{}`)},
		{Name: jobqueue.Name{Domain: "other", Type: "t"}, Params: []byte(` {"b":1, "a":2}`), Digest: digest, MaxTries: 4},
		{Name: jobqueue.Name{Domain: "wiki", Type: "mail"}, Params: []byte(`{"to":["a\u003cb"]}`), Delay: time.Minute, Headers: map[string]string{"h": "v"}},
		{Name: name, Params: []byte(`{}`), Digest: jobqueue.KeyDigest("k"), ReleaseAt: whole, Root: jobqueue.Root{Key: "page", Time: whole.AddDate(-10, 0, 0)}},
		{Name: name, Params: []byte(`{}`), Root: jobqueue.Root{Key: "page"}},
	}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("Records (-want +got):\n%s", diff)
	}
}

func TestRecordsDedupePolicy(t *testing.T) {
	g := newGroup(jobqueue.Routes{Policy: func(typ string) jobqueue.Policy { return jobqueue.Policy{Dedupe: typ == "once"} }})
	types := []string{"once", "often", "often", "once", "once"}
	var specs []jobqueue.Spec
	for _, typ := range types {
		specs = append(specs, jobqueue.Spec{Type: typ})
	}
	records, err := g.Records(specs...)
	if err != nil {
		t.Fatal(err)
	}
	once, _ := jobqueue.ParamsDigest([]byte(`{}`))
	for i, typ := range types {
		want := map[string]jobqueue.Digest{"once": once}[typ]
		if records[i].Digest != want {
			t.Errorf("job %d, of type %s, has the digest %x, want %x", i, typ, records[i].Digest, want)
		}
	}
}

// What was found out about the queue of one job does not pass for that of the next.
func TestRecordsRefusesBehindOthers(t *testing.T) {
	_, err := newGroup(jobqueue.Routes{}).Records(jobqueue.Spec{Type: "t"}, jobqueue.Spec{Type: "t"}, jobqueue.Spec{Type: "t", Domain: "a\nb"})
	if !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), "job 2") {
		t.Errorf("Records = %v, want that job 2 is invalid", err)
	}
	if _, err := newGroup(jobqueue.Routes{}).On("").Records(jobqueue.Spec{}); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Records of no domain and no type = %v, want that it is invalid", err)
	}
}

// A job of a domain that nobody serves is refused, also when it is the group's own.
func TestRecordsKnowsDomains(t *testing.T) {
	g := newGroup(jobqueue.Routes{Knows: func(domain string) bool { return domain == "one" }})
	if _, err := g.Records(jobqueue.Spec{Type: "t", Domain: "one"}); err != nil {
		t.Error(err)
	}
	for _, domain := range []string{"", "two"} {
		_, err := g.Records(jobqueue.Spec{Type: "t", Domain: "one"}, jobqueue.Spec{Type: "t", Domain: domain})
		if !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), "is not one of the farm's") {
			t.Errorf("Records of domain %q = %v, want that it is not one of the farm's", domain, err)
		}
	}
}

func TestRecordsRefuses(t *testing.T) {
	now := time.Now()
	object := func(size int) json.RawMessage {
		return json.RawMessage(`{"s":"` + strings.Repeat("x", size-8) + `"}`)
	}
	for what, tt := range map[string]struct {
		spec jobqueue.Spec
		want error
		text string
	}{
		"no type":             {jobqueue.Spec{}, jobqueue.ErrInvalid, "type is empty"},
		"long type":           {jobqueue.Spec{Type: strings.Repeat("x", 256)}, jobqueue.ErrInvalid, "at most 255"},
		"type not UTF-8":      {jobqueue.Spec{Type: "\xff"}, jobqueue.ErrInvalid, "not UTF-8"},
		"control in a domain": {jobqueue.Spec{Type: "t", Domain: "a\x00b"}, jobqueue.ErrInvalid, "control character"},
		"long domain":         {jobqueue.Spec{Type: "t", Domain: strings.Repeat("é", 128)}, jobqueue.ErrInvalid, "domain"},
		"job and type":        {jobqueue.Spec{Job: newMail(), Type: "mail"}, jobqueue.ErrInvalid, "either Job"},
		"job and params":      {jobqueue.Spec{Job: newMail(), Params: []byte(`{}`)}, jobqueue.ErrInvalid, "either Job"},
		"job that is no JSON": {jobqueue.Spec{Job: &channel{typed: "c"}}, jobqueue.ErrInvalid, "chan int"},
		"job not UTF-8":       {jobqueue.Spec{Job: &mail{typed: "mail", To: []string{"a\xffb"}}}, jobqueue.ErrInvalid, "not UTF-8"},
		"job's key not UTF-8": {jobqueue.Spec{Job: &mail{typed: "mail", Extra: map[string]any{"\xff": 1}}}, jobqueue.ErrInvalid, "not UTF-8"},
		"job that is a list":  {jobqueue.Spec{Job: &list{typed: "list"}}, jobqueue.ErrInvalid, "not a JSON object"},
		"not JSON":            {jobqueue.Spec{Type: "t", Params: []byte(`{"a"}`)}, jobqueue.ErrInvalid, "not JSON"},
		"empty":               {jobqueue.Spec{Type: "t", Params: []byte{}}, jobqueue.ErrInvalid, "not JSON"},
		"two values":          {jobqueue.Spec{Type: "t", Params: []byte(`{}{}`)}, jobqueue.ErrInvalid, "not JSON"},
		"list":                {jobqueue.Spec{Type: "t", Params: []byte(` []`)}, jobqueue.ErrInvalid, "not a JSON object"},
		"null":                {jobqueue.Spec{Type: "t", Params: []byte(`null`)}, jobqueue.ErrInvalid, "not a JSON object"},
		"params not UTF-8":    {jobqueue.Spec{Type: "t", Params: []byte("{\"a\":\"\xc3\x28\"}")}, jobqueue.ErrInvalid, "not UTF-8"},
		"too large":           {jobqueue.Spec{Type: "t", Params: object(jobqueue.DefaultMaxParams + 1)}, jobqueue.ErrTooLarge, "at most 1048576"},
		"duplicate key":       {jobqueue.Spec{Type: "t", Params: []byte(`{"a":1,"a":1}`), Dedupe: true}, jobqueue.ErrInvalid, "twice"},
		"lone surrogate":      {jobqueue.Spec{Type: "t", Params: []byte(`{"a":"\ud800"}`), Dedupe: true}, jobqueue.ErrInvalid, "surrogate"},
		"negative delay":      {jobqueue.Spec{Type: "t", Delay: -1}, jobqueue.ErrInvalid, "negative"},
		"delay and instant":   {jobqueue.Spec{Type: "t", Delay: 1, ReleaseAt: now}, jobqueue.ErrInvalid, "either a delay"},
		"endless delay":       {jobqueue.Spec{Type: "t", Delay: 101 * 365 * 24 * time.Hour}, jobqueue.ErrInvalid, "more than 100 years away"},
		"distant instant":     {jobqueue.Spec{Type: "t", ReleaseAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, jobqueue.ErrInvalid, "more than 100 years away"},
		"negative tries":      {jobqueue.Spec{Type: "t", MaxTries: -1}, jobqueue.ErrInvalid, "at least 1"},
		"large headers":       {jobqueue.Spec{Type: "t", Headers: map[string]string{"a": strings.Repeat("x", 8<<10), "b": strings.Repeat("x", 8<<10)}}, jobqueue.ErrTooLarge, "headers"},
		"header not UTF-8":    {jobqueue.Spec{Type: "t", Headers: map[string]string{"a": "\xff"}}, jobqueue.ErrInvalid, "header"},
		"header's key":        {jobqueue.Spec{Type: "t", Headers: map[string]string{"\xff": "a"}}, jobqueue.ErrInvalid, "header"},
		"long root key":       {jobqueue.Spec{Type: "t", Root: jobqueue.Root{Key: strings.Repeat("x", 1025)}}, jobqueue.ErrTooLarge, "root key"},
		"header with NUL":     {jobqueue.Spec{Type: "t", Headers: map[string]string{"a": "\x00"}}, jobqueue.ErrInvalid, "header"},
		"root key with NUL":   {jobqueue.Spec{Type: "t", Root: jobqueue.Root{Key: "a\x00"}}, jobqueue.ErrInvalid, "root key"},
		"root key not UTF-8":  {jobqueue.Spec{Type: "t", Root: jobqueue.Root{Key: "\xff"}}, jobqueue.ErrInvalid, "root key"},
		"root without a key":  {jobqueue.Spec{Type: "t", Root: jobqueue.Root{Time: now}}, jobqueue.ErrInvalid, "no key"},
		"root in days":        {jobqueue.Spec{Type: "t", Root: jobqueue.Root{Key: "page 1", Time: now.Add(25 * time.Hour)}}, jobqueue.ErrInvalid, `root "page 1"`},
		"root in the year 1e4": {jobqueue.Spec{Type: "t", Root: jobqueue.Root{Key: "k", Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}, jobqueue.ErrInvalid,
			"10000-01-01T00:00:00Z, more than 24h0m0s ahead of this host's clock"},
	} {
		t.Run(what, func(t *testing.T) {
			b := queuememory.New()
			g := newGroup(jobqueue.Routes{Default: b})
			_, err := g.Records(jobqueue.Spec{Type: "good"}, tt.spec)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "job 1: ") || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Records = %v, want %v of job 1: %s", err, tt.want, tt.text)
			}
			if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "good"}, tt.spec); !errors.Is(err, tt.want) {
				t.Errorf("Push = %v, want %v", err, tt.want)
			}
			if counts, err := b.Counts(t.Context()); err != nil || len(counts) > 0 {
				t.Errorf("Counts = %v, %v after a push of an invalid spec, want none", counts, err)
			}
		})
	}
}

// list is a job whose parameters are no JSON object.
type list struct{ typed }

func (*list) MarshalJSON() ([]byte, error) { return []byte(`[]`), nil }

func TestRecordsAccepts(t *testing.T) {
	g := newGroup(jobqueue.Routes{})
	for what, s := range map[string]jobqueue.Spec{
		"1 MiB":                       {Type: "t", Params: json.RawMessage(`{"s":"` + strings.Repeat("x", jobqueue.DefaultMaxParams-8) + `"}`)},
		"white space":                 {Type: "t", Params: []byte("\r\n\t {}\n")},
		"surrogate, not deduplicated": {Type: "t", Params: []byte(`{"a":"\ud800","a":1}`)},
		"surrogate, with a key":       {Type: "t", Params: []byte(`{"a":"\ud800"}`), DedupeKey: "k"},
		"the past":                    {Type: "t", ReleaseAt: time.Unix(0, 0)},
		"a root of the past":          {Type: "t", Root: jobqueue.Root{Key: "k", Time: time.Unix(0, 0)}},
		"a root of a fast clock":      {Type: "t", Root: jobqueue.Root{Key: "k", Time: time.Now().Add(23 * time.Hour)}},
		"U+FFFD":                      {Job: &mail{typed: "mail", To: []string{"\ufffd"}}},
		"text of an escape":           {Job: &mail{typed: "mail", To: []string{`\ufffd`, `\\ufffd`}}},
		"long key":                    {Type: "t", Root: jobqueue.Root{Key: strings.Repeat("x", 1024)}},
		"large headers":               {Type: "t", Headers: map[string]string{"a": strings.Repeat("x", 16<<10-1)}},
	} {
		if _, err := g.Records(s); err != nil {
			t.Errorf("Records of %s: %v", what, err)
		}
	}
}

func TestRecordsMaxParams(t *testing.T) {
	g := newGroup(jobqueue.Routes{MaxParams: 10})
	if _, err := g.Records(jobqueue.Spec{Type: "t", Params: []byte(`{"a":1234}`)}); err != nil {
		t.Errorf("Records of 10 bytes: %v", err)
	}
	if _, err := g.Records(jobqueue.Spec{Type: "t", Params: []byte(`{"a":12345}`)}); !errors.Is(err, jobqueue.ErrTooLarge) {
		t.Errorf("Records of 11 bytes = %v, want ErrTooLarge", err)
	}
}
