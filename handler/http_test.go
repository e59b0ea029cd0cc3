package handler_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
)

// call runs a job of an endpoint.
func call(ctx context.Context, e handler.Endpoint, c *jobqueue.Claim) error {
	return e.Jobs()("mail").Run(jobqueue.NewContext(ctx, c))
}

// serve answers every call as f does.
func serve(t *testing.T, f http.HandlerFunc) string {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

func TestHTTPRequest(t *testing.T) {
	dir := t.TempDir()
	token, key := filepath.Join(dir, "token"), filepath.Join(dir, "key")
	for path, text := range map[string]string{token: "abc.def\n", key: "s3cret\r\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &jobqueue.Claim{
		Record: jobqueue.Record{
			Name:    jobqueue.Name{Domain: "enwiki", Type: "mail"},
			Params:  []byte(`{ "n": 12345678901234567890 }`),
			Headers: map[string]string{"Traceparent": "00-1-2-01", "tracestate": "a=b", "Authorization": "forged", "traceparent ": "x"},
		},
		ID: "17", Attempt: 2, Token: uuid.MustParse("9b2ae37b-0d9c-4a3c-8d7c-1f0b3a0f8f11"),
	}
	var got http.Header
	var body []byte
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.RequestURI() != "/jobs?a=b" || r.ContentLength != int64(len(body)) {
			t.Errorf("%s %s with %d bytes", r.Method, r.URL.RequestURI(), r.ContentLength)
		}
	})
	ctx, cancel := context.WithDeadline(t.Context(), time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC))
	defer cancel()
	e := handler.Endpoint{URL: url + "/jobs?a=b", TokenFile: token, HMACFile: key, Headers: map[string]string{"X-Farm": "one"}}
	if err := call(ctx, e, c); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(body)
	claim := got.Get("Jobqueue-Claim")
	want := http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"jobqueue"}, "Accept-Encoding": nil, "Content-Length": got["Content-Length"],
		"Jobqueue-Id": {"17"}, "Jobqueue-Claim": {claim}, "Jobqueue-Attempt": {"2"}, "Jobqueue-Deadline": {"2100-01-02T03:04:05Z"},
		"Traceparent": {"00-1-2-01"}, "Tracestate": {"a=b"}, "Authorization": {"Bearer abc.def"}, "X-Farm": {"one"},
		"Jobqueue-Signature": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
	}
	delete(want, "Accept-Encoding")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if want := `{"id":"17","domain":"enwiki","type":"mail","attempt":2,"headers":`; !strings.HasPrefix(string(body), want) ||
		!strings.HasSuffix(string(body), `,"params":{ "n": 12345678901234567890 }}`+"\n") {
		t.Errorf("body %s", body)
	}
	if len(claim) != 32 || strings.Contains(c.Token.String(), claim[:8]) {
		t.Errorf("claim %q shows the token", claim)
	}
	// Another claim of the job has another name.
	c.Token[0]++
	if err := call(ctx, e, c); err != nil || got.Get("Jobqueue-Claim") == claim {
		t.Errorf("Run = %v, and the claim is %q again", err, claim)
	}
}

func TestHTTPStatus(t *testing.T) {
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New(),
		Policy: func(string) jobqueue.Policy {
			return jobqueue.Policy{Backoff: func(int) time.Duration { return time.Minute }}
		}})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		if v := r.URL.Query().Get("after"); v != "" {
			w.Header().Set("Retry-After", v)
		}
		w.Header().Set("Location", "/200")
		w.WriteHeader(status)
		if status != 204 && status != 304 {
			io.WriteString(w, " it says\x00 so\n")
		}
	})
	const done, retry, giveBack, abandon = jobqueue.ActionDone, jobqueue.ActionRetry, jobqueue.ActionGiveBack, jobqueue.ActionAbandon
	for _, tt := range []struct {
		path  string
		do    jobqueue.Action
		delay time.Duration
		err   string
		fault bool
	}{
		{"200", done, 0, "", false},
		{"201", done, 0, "", false},
		{"204", done, 0, "", false},
		{"299", done, 0, "", false},
		{"202", giveBack, 0, "202 Accepted, but the endpoint must answer when the job has run: it says\x00 so", true},
		{"301", giveBack, 0, "301 Moved Permanently: it says\x00 so", true},
		{"302", giveBack, 0, "302 Found: it says\x00 so", true},
		{"304", giveBack, 0, "304 Not Modified", true},
		{"307", giveBack, 0, "307 Temporary Redirect: it says\x00 so", true},
		{"400", abandon, 0, "400 Bad Request: it says\x00 so", false},
		{"401", giveBack, 0, "401 Unauthorized: it says\x00 so", true},
		{"403", giveBack, 0, "403 Forbidden: it says\x00 so", true},
		{"404", giveBack, 0, "404 Not Found: it says\x00 so", true},
		{"405", giveBack, 0, "405 Method Not Allowed: it says\x00 so", true},
		{"407", giveBack, 0, "407 Proxy Authentication Required: it says\x00 so", true},
		{"409", retry, time.Minute, "409 Conflict: it says\x00 so", false},
		{"410", abandon, 0, "410 Gone: it says\x00 so", false},
		{"413", abandon, 0, "413 Request Entity Too Large: it says\x00 so", false},
		{"422", abandon, 0, "422 Unprocessable Entity: it says\x00 so", false},
		{"429", giveBack, handler.RetryAfter, "snoozed for 30s", false},
		{"429?after=7", giveBack, 7 * time.Second, "snoozed for 7s", false},
		{"503?after=0", giveBack, time.Second, "snoozed for 1s", false},
		{"503?after=-5", giveBack, handler.RetryAfter, "snoozed for 30s", false},
		{"503?after=soon", giveBack, handler.RetryAfter, "snoozed for 30s", false},
		{"503?after=86400", giveBack, time.Hour, "snoozed for 1h0m0s", false},
		{"503?after=99999999999999999999", giveBack, handler.RetryAfter, "snoozed for 30s", false},
		{"503?after=Mon,+02+Jan+2006+15:04:05+GMT", giveBack, time.Second, "snoozed for 1s", false},
		{"503?after=Fri,+31+Dec+2100+23:59:59+GMT", giveBack, time.Hour, "snoozed for 1h0m0s", false},
		{"500", retry, time.Minute, "500 Internal Server Error: it says\x00 so", false},
		{"502", giveBack, 0, "502 Bad Gateway: it says\x00 so", true},
		{"504", giveBack, 0, "504 Gateway Timeout: it says\x00 so", true},
		{"599", retry, time.Minute, "599: it says\x00 so", false},
	} {
		c := claim("{}")
		c.QueuedAt = time.Now()
		err := call(t.Context(), handler.Endpoint{URL: url + "/" + tt.path}, c)
		o := g.Outcome(c, err)
		if o.Do != tt.do || o.Delay != tt.delay && tt.do != abandon || o.Err != tt.err || errors.Is(err, jobqueue.ErrFault) != tt.fault {
			t.Errorf("%s: outcome %v in %v: %q, fault %v, want %+v", tt.path, o.Do, o.Delay, o.Err, errors.Is(err, jobqueue.ErrFault), tt)
		}
	}
}

func TestHTTPRedirectNotFollowed(t *testing.T) {
	var followed atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) })
	if err := call(t.Context(), handler.Endpoint{URL: url}, claim("{}")); !errors.Is(err, jobqueue.ErrFault) || followed.Load() {
		t.Errorf("Run = %v, followed %v, want a fault and no second call", err, followed.Load())
	}
}

// A proxy that the environment names would be told the job and the token.
func TestHTTPProxyIgnored(t *testing.T) {
	var used atomic.Bool
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { used.Store(true) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy)
	}
	// Not the loopback address, for which the environment is not asked anyway.
	if err := call(t.Context(), handler.Endpoint{URL: "http://jobs.invalid/"}, claim("{}")); !errors.Is(err, jobqueue.ErrFault) || used.Load() {
		t.Errorf("Run = %v, proxy used: %v, want a fault without it", err, used.Load())
	}
}

// What keeps an answer from coming is the handler's fault, and does not show the URL.
func TestHTTPFaults(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	t.Cleanup(secure.Close)
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	})
	noise, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noise.Close() })
	go func() {
		for {
			conn, err := noise.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "220 mail.example.org ESMTP\r\n")
			conn.Close()
		}
	}()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	missing := filepath.Join(t.TempDir(), "missing")
	for what, e := range map[string]handler.Endpoint{
		"connection refused": {URL: closed.URL + "/?key=hunter2"},
		"no such host":       {URL: "http://jobs.invalid/?key=hunter2"},
		"unknown authority":  {URL: secure.URL + "/?key=hunter2"},
		"connection closed":  {URL: broken + "/?key=hunter2"},
		"another protocol":   {URL: "http://" + noise.Addr().String() + "/?key=hunter2"},
		"no handshake":       {URL: "https://" + silent.Addr().String() + "/?key=hunter2", Connect: 50 * time.Millisecond},
		"no token":           {URL: broken, TokenFile: missing},
		"no key":             {URL: broken, HMACFile: missing},
		"empty key":          {URL: broken, HMACFile: os.DevNull},
	} {
		err := call(t.Context(), e, claim("{}"))
		if !errors.Is(err, jobqueue.ErrFault) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: Run = %v, want a fault that does not show the URL", what, err)
		}
	}
}

// A call that takes too long fails its job.
func TestHTTPTimeout(t *testing.T) {
	free := make(chan struct{})
	url := serve(t, func(http.ResponseWriter, *http.Request) { <-free })
	defer close(free)
	err := call(t.Context(), handler.Endpoint{URL: url, Timeout: 50 * time.Millisecond}, claim("{}"))
	if want := "no answer in time: 50ms"; err == nil || err.Error() != want || errors.Is(err, jobqueue.ErrFault) {
		t.Errorf("Run = %v, want %s", err, want)
	}
	lost := errors.New("claim lost")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, lost)
	defer cancel()
	if err := call(ctx, handler.Endpoint{URL: url}, claim("{}")); !errors.Is(err, lost) {
		t.Errorf("Run = %v, want %v", err, lost)
	}
}

func TestHTTPBigBodies(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n < 1<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadRequest)
		}
		// It would go on for ever.
		for line := []byte(strings.Repeat("é", 4096)); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	c := claim(`{"big":"` + strings.Repeat("x", 1<<20) + `"}`)
	if err := call(t.Context(), handler.Endpoint{URL: url}, c); err != nil {
		t.Errorf("Run = %v", err)
	}
	err := call(t.Context(), handler.Endpoint{URL: url + "/bad"}, c)
	if err == nil || !strings.HasPrefix(err.Error(), "400 Bad Request: ééé") || len(err.Error()) > jobqueue.MaxError || strings.Contains(err.Error(), "\uFFFD") {
		t.Errorf("Run = %.40v, want the status and the beginning of the body", err)
	}
}

func TestEndpointCheck(t *testing.T) {
	for url, want := range map[string]string{
		"http://localhost:80/a?b=c": "",
		"https://[::1]/":            "",
		"":                          "must be of the form",
		"localhost/jobs":            "must be of the form",
		"ftp://localhost/":          "must be of the form",
		"http:///jobs":              "must be of the form",
		"http://a b/":               "must be of the form",
		"http://ann:x@localhost/":   "user or password",
		"http://localhost/#a":       "fragment",
	} {
		e := handler.Endpoint{URL: url}
		switch err := e.Check(); {
		case want == "" && err != nil:
			t.Errorf("Check of %q = %v", url, err)
		case want != "" && (!errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), want)):
			t.Errorf("Check of %q = %v, want %s", url, err, want)
		}
	}
	for name, v := range map[string]string{"": "a", "a b": "c", "A:": "b", "A": "b\nc", "B": "é"} {
		if err := (&handler.Endpoint{URL: "http://a/", Headers: map[string]string{name: v}}).Check(); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("Check of header %q: %q = %v, want ErrInvalid", name, v, err)
		}
	}
}
