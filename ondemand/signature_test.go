package ondemand_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// signed returns the form of a request, by the rule in words: the parts with their lengths before them.
func signed(key, path, domain, jobs string, expires time.Time) url.Values {
	mac := hmac.New(sha256.New, []byte(key))
	at := fmt.Sprint(expires.Unix())
	for _, part := range []string{"POST", path, domain, jobs, at} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return url.Values{"domain": {domain}, "maxjobs": {jobs}, "expires": {at}, "signature": {hex.EncodeToString(mac.Sum(nil))}}
}

func with(form url.Values, name, value string) url.Values {
	form.Set(name, value)
	return form
}

func TestTriggerHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisited(t, func(v *visited) {
			v.Switch = func(domain string) ondemand.Switch {
				return map[string]ondemand.Switch{"moving": {ReadOnly: "it moves"}, "off": {Disabled: true}}[domain]
			}
		})
		h := v.Handler()
		now := time.Now()
		soon := now.Add(10 * time.Second)
		good := func() url.Values { return signed(secret, "/run", "wiki", "1", soon) }
		for name, c := range map[string]struct {
			method, path string
			form         url.Values
			status       int
			says         string
		}{
			"right":              {"POST", "/run", good(), 202, ""},
			"none is one":        {"POST", "/run", signed(secret, "/run", "wiki", "0", soon), 202, ""},
			"last second":        {"POST", "/run", signed(secret, "/run", "wiki", "1", now), 202, ""},
			"stale":              {"POST", "/run", signed(secret, "/run", "wiki", "1", now.Add(-time.Second)), 403, "stale"},
			"longer":             {"POST", "/run", with(good(), "expires", fmt.Sprint(soon.Unix()+60)), 403, "Invalid"},
			"more":               {"POST", "/run", with(good(), "maxjobs", "100"), 403, "Invalid"},
			"another domain":     {"POST", "/run", with(good(), "domain", "other"), 403, "Invalid"},
			"another path":       {"POST", "/else", good(), 403, "Invalid"},
			"another secret":     {"POST", "/run", signed("guess", "/run", "wiki", "1", soon), 403, "Invalid"},
			"no secret":          {"POST", "/run", signed("", "/run", "wiki", "1", soon), 403, "Invalid"},
			"half a signature":   {"POST", "/run", with(good(), "signature", good().Get("signature")[:32]), 403, "Invalid"},
			"no hex":             {"POST", "/run", with(good(), "signature", "!"), 403, "Invalid"},
			"parts in a row":     {"POST", "/run", with(with(signed(secret, "/run", "wiki1", "1", soon), "domain", "wiki"), "maxjobs", "11"), 403, "Invalid"},
			"get":                {"GET", "/run?" + good().Encode(), nil, 405, "Request must be POSTed."},
			"in the URL":         {"POST", "/run?" + good().Encode(), nil, 400, "Missing parameters: domain, maxjobs, expires, signature"},
			"without domain":     {"POST", "/run", with(good(), "domain", ""), 400, "Missing parameters: domain\n"},
			"no number":          {"POST", "/run", with(good(), "maxjobs", "all"), 400, "numbers"},
			"too long":           {"POST", "/run", with(good(), "more", strings.Repeat("x", 5000)), 400, "form"},
			"read-only":          {"POST", "/run", signed(secret, "/run", "moving", "1", soon), 423, "it moves"},
			"disabled":           {"POST", "/run", signed(secret, "/run", "off", "1", soon), 423, "not run on demand"},
			"read-only, unknown": {"POST", "/run", signed("guess", "/run", "moving", "1", soon), 403, "Invalid"},
		} {
			v.push(t, "wiki", 1)
			req := httptest.NewRequest(c.method, "http://wiki"+c.path, strings.NewReader(c.form.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Code == 202 && !w.Flushed {
				t.Errorf("%s: jobs ran before the reply", name)
			}
			synctest.Wait()
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), secret) {
				t.Errorf("%s: %d %q, want %d %q", name, w.Code, w.Body, c.status, c.says)
			}
			if n := len(v.ran); n != 0 && c.status != 202 || n != 1 && c.status == 202 {
				t.Errorf("%s: %d jobs ran", name, n)
			}
			if w.Code == 405 && w.Header().Get("Allow") != "POST" {
				t.Errorf("%s: %v", name, w.Header())
			}
			for len(v.ran) > 0 {
				<-v.ran
			}
		}
	})
}

func TestTriggerReadOnlyFarm(t *testing.T) {
	v := newVisited(t, func(v *visited) {
		v.Trigger.Group = jobqueue.NewGroup("a", jobqueue.Routes{Default: queuememory.New(), ReadOnly: "the farm moves"})
	})
	form := signed(secret, "/run", "wiki", "1", time.Now().Add(time.Minute))
	req := httptest.NewRequest(http.MethodPost, "http://wiki/run", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if v.Handler().ServeHTTP(w, req); w.Code != http.StatusLocked || !strings.Contains(w.Body.String(), "the farm moves") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
