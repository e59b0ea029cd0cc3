package ondemand

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A request is what is signed of a call of the endpoint: all that it says, and where.
type request struct {
	path    string
	domain  string
	jobs    int
	expires int64 // in seconds of Unix time
}

// sum is the signature. Each part has its length before it, so that no two requests are written alike.
func (r request) sum(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{http.MethodPost, r.path, r.domain, strconv.Itoa(r.jobs), strconv.FormatInt(r.expires, 10)} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

func (r request) form(secret []byte) url.Values {
	return url.Values{
		"domain":    {r.domain},
		"maxjobs":   {strconv.Itoa(r.jobs)},
		"expires":   {strconv.FormatInt(r.expires, 10)},
		"signature": {hex.EncodeToString(r.sum(secret))},
	}
}

// Handler is the endpoint that runs jobs for other processes' Middleware, or this one's. It answers
//
//   - 202 to what is signed, and then runs as many jobs as were asked for; what is asked for a domain that is in work is added up
//   - 405 to anything but POST
//   - 400 if domain, maxjobs, expires or signature is missing from the form, or is none
//   - 403 if the signature is not right, or has expired
//   - 423 if the domain is read-only or disabled
//
// Who hears a signed request may repeat it until it expires, within 10 s. That runs jobs that were waiting to be run, for a domain one after the
// other, so it does no harm but to use the time that they need. The clocks of both sides must agree within these 10 s.
//
// Handler panics at once without a Secret.
func (t *Trigger) Handler() http.Handler {
	t.init()
	t.needSecret()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if req.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "Request must be POSTed.", http.StatusMethodNotAllowed)
			return
		}
		req.Body = http.MaxBytesReader(w, req.Body, 4<<10)
		if err := req.ParseForm(); err != nil {
			http.Error(w, "The form cannot be read.", http.StatusBadRequest)
			return
		}
		var missing []string
		for _, name := range []string{"domain", "maxjobs", "expires", "signature"} {
			if req.PostForm.Get(name) == "" {
				missing = append(missing, name)
			}
		}
		if missing != nil {
			http.Error(w, "Missing parameters: "+strings.Join(missing, ", "), http.StatusBadRequest)
			return
		}
		asked := request{path: req.URL.Path, domain: req.PostForm.Get("domain")}
		var errs [2]error
		asked.jobs, errs[0] = strconv.Atoi(req.PostForm.Get("maxjobs"))
		asked.expires, errs[1] = strconv.ParseInt(req.PostForm.Get("expires"), 10, 64)
		if errs != [2]error{} {
			http.Error(w, "maxjobs and expires must be numbers.", http.StatusBadRequest)
			return
		}
		sum, err := hex.DecodeString(req.PostForm.Get("signature"))
		if right := hmac.Equal(sum, asked.sum(t.Secret)); err != nil || !right || asked.expires < time.Now().Unix() {
			http.Error(w, "Invalid or stale signature.", http.StatusForbidden)
			return
		}
		s := t.Switch(asked.domain)
		if s.ReadOnly == "" {
			s.ReadOnly = t.Group.ReadOnly
		}
		switch {
		case s.Disabled:
			http.Error(w, "Jobs of this domain are not run on demand.", http.StatusLocked)
		case s.ReadOnly != "":
			http.Error(w, "Read-only: "+s.ReadOnly, http.StatusLocked)
		default:
			w.WriteHeader(http.StatusAccepted)
			http.NewResponseController(w).Flush()
			t.runs.add(asked.domain, max(asked.jobs, 1), t.run)
		}
	})
}
