package handler

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	defaultConnect = 5 * time.Second
	maxBody        = 64 << 10 // bytes of an answer that are read
	maxSecret      = 64 << 10 // bytes of a file with a secret
	maxRetryAfter  = time.Hour
)

// An Endpoint is called for jobs: a POST of the JSON object that a [Program] gets.
//
// The headers Jobqueue-Id, Jobqueue-Claim, Jobqueue-Attempt and Jobqueue-Deadline (RFC 3339, left out
// without a time limit) name the job. Jobqueue-Claim is another one each time the job is claimed, and
// no secret. traceparent and tracestate of the job's headers are passed on.
//
// The answer says what becomes of the job:
//
//	2xx                              done, except
//	202                              a fault: the endpoint must answer when the job has run
//	400, 410, 413, 422               abandoned
//	429, 503                         tried again after Retry-After, at most an hour, or [RetryAfter]; not counted
//	3xx, 401, 403, 404, 405, 407,
//	502, 504                         a fault
//	any other                        failed
//
// So is everything a fault that keeps an answer from coming, such as name resolution, a connection or
// TLS, but not Timeout or the end of the job's context, which fail the job: see [jobqueue.Fault].
// Up to 4 KiB of the body are kept as the reason.
//
// Redirects are not followed, and proxies of the environment are not used. Connections are kept
// for other jobs.
type Endpoint struct {
	URL     string            // http or https
	Headers map[string]string // more headers of each call

	// TokenFile holds a bearer token for the header Authorization; HMACFile holds a key, with which the body is
	// signed in the header Jobqueue-Signature: sha256= and the HMAC-SHA256 in hexadecimal. White space at the end of
	// the files does not count. They are read for each call, so that they can be replaced.
	TokenFile, HMACFile string

	Connect time.Duration // how long a connection may take; default 5 s
	Timeout time.Duration // how long a call may take; 0 is as long as the job
}

// Check returns what is wrong with e, an [jobqueue.ErrInvalid], or nil.
func (e *Endpoint) Check() error {
	// The URL may hold a secret, so it is not shown.
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: the URL must be of the form http://host/path or https://host/path", jobqueue.ErrInvalid)
	case u.User != nil:
		return fmt.Errorf("%w: the URL must not have a user or password; put a token into a file", jobqueue.ErrInvalid)
	case u.Fragment != "":
		return fmt.Errorf("%w: the URL must not have a fragment", jobqueue.ErrInvalid)
	}
	for name, v := range e.Headers {
		if !isToken(name) || !isHeaderValue(v) {
			return fmt.Errorf("%w: header %q is not of the form that HTTP allows", jobqueue.ErrInvalid, name)
		}
	}
	return nil
}

func isToken(s string) bool {
	bad := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	}
	return s != "" && !strings.ContainsFunc(s, bad)
}

func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// Jobs returns a constructor of jobs that e runs, for [jobqueue.Registry.Fallback]
// or, with one type, for [jobqueue.Registry.Add]. It panics if [Endpoint.Check] finds a mistake.
func (e Endpoint) Jobs() func(typ string) jobqueue.Job {
	if err := e.Check(); err != nil {
		panic("handler: " + err.Error())
	}
	if e.Connect <= 0 {
		e.Connect = defaultConnect
	}
	dialer := &net.Dialer{Timeout: e.Connect}
	c := &caller{Endpoint: e, client: &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    e.Connect,
			MaxIdleConnsPerHost:    100,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxBody,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return func(typ string) jobqueue.Job { return &job{typ, c.run} }
}

// A caller calls an endpoint.
type caller struct {
	Endpoint
	client *http.Client
}

var errNoReply = errors.New("no answer in time")

func (e *caller) run(ctx context.Context, c *jobqueue.Claim) error {
	body, err := encode(c)
	if err != nil {
		return err
	}
	call := ctx
	if e.Timeout > 0 {
		var cancel context.CancelFunc
		call, cancel = context.WithTimeoutCause(ctx, e.Timeout, fmt.Errorf("%w: %v", errNoReply, e.Timeout))
		defer cancel()
	}
	req, err := http.NewRequestWithContext(call, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return jobqueue.Fault(withoutURL(err))
	}
	if err := e.header(req.Header, ctx, c, body); err != nil {
		return jobqueue.Fault(err)
	}
	resp, err := e.client.Do(req)
	switch {
	case err != nil && call.Err() != nil:
		return context.Cause(call)
	case err != nil:
		return jobqueue.Fault(withoutURL(err))
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return verdictOf(resp, text)
}

// withoutURL leaves out the URL, which may hold a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func (e *caller) header(h http.Header, ctx context.Context, c *jobqueue.Claim, body []byte) error {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "jobqueue")
	if isHeaderValue(c.ID) {
		h.Set("Jobqueue-Id", c.ID)
	}
	// The token is what settles the job; nobody can find it out from this.
	sum := sha256.Sum256([]byte(c.Token.String() + " " + c.ID))
	h.Set("Jobqueue-Claim", hex.EncodeToString(sum[:16]))
	h.Set("Jobqueue-Attempt", strconv.Itoa(c.Attempt))
	if at, ok := ctx.Deadline(); ok {
		h.Set("Jobqueue-Deadline", at.UTC().Format(time.RFC3339))
	}
	for name, v := range c.Headers {
		if trace := strings.ToLower(name); (trace == "traceparent" || trace == "tracestate") && isHeaderValue(v) {
			h.Set(trace, v)
		}
	}
	for name, v := range e.Headers {
		h.Set(name, v)
	}
	if e.TokenFile != "" {
		token, err := secret(e.TokenFile)
		if err != nil {
			return err
		}
		if !isHeaderValue(string(token)) {
			return fmt.Errorf("%s: the token has characters that HTTP does not allow", e.TokenFile)
		}
		h.Set("Authorization", "Bearer "+string(token))
	}
	if e.HMACFile != "" {
		key, err := secret(e.HMACFile)
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(body)
		h.Set("Jobqueue-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return nil
}

// secret reads a file with a secret.
func secret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	b = bytes.TrimRight(b, " \t\r\n")
	switch {
	case len(b) == 0:
		return nil, fmt.Errorf("%s: the file is empty", path)
	case len(b) > maxSecret:
		return nil, fmt.Errorf("%s: the file is over %d bytes", path, maxSecret)
	}
	return b, nil
}

// verdictOf turns an answer into what becomes of the job.
func verdictOf(resp *http.Response, body []byte) error {
	err := &statusError{strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", http.StatusText(resp.StatusCode))), body}
	switch code := resp.StatusCode; {
	case code == http.StatusAccepted:
		err.text += ", but the endpoint must answer when the job has run"
		return jobqueue.Fault(err)
	case code >= 200 && code < 300:
		return nil
	case code == 400, code == 410, code == 413, code == 422:
		return jobqueue.Abandon(err)
	case code == 429, code == 503:
		return jobqueue.Snooze(retryAfter(resp.Header, time.Now()))
	case code < 400, code == 401, code == 403, code == 404, code == 405, code == 407, code == 502, code == 504:
		return jobqueue.Fault(err)
	}
	return err
}

// A statusError is an answer that says that the job is not done.
type statusError struct {
	text string
	body []byte
}

func (e *statusError) Error() string {
	said := strings.TrimSpace(strings.ToValidUTF8(string(e.body), "\uFFFD"))
	if said == "" {
		return e.text
	}
	if room := jobqueue.MaxError - len(e.text) - len(": "); len(said) > room {
		said = strings.ToValidUTF8(said[:room], "")
	}
	return e.text + ": " + said
}

// retryAfter returns how long an answer asks to wait.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	d := RetryAfter
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	// Less than a second would be no rest at all.
	return min(max(d, time.Second), maxRetryAfter)
}
