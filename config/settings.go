package config

import (
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
)

// settings are what the file says of one type, or of all in default. What is nil is not said.
type settings struct {
	line     ast.Node // where they stand
	backend  *value
	class    *value
	dedupe   *bool
	once     *bool
	exclude  *bool
	maxTries *int
	lease    *time.Duration
	claimTTL *time.Duration
	timeout  *time.Duration
	keep     *time.Duration
	backoff  func(attempt int) time.Duration
	throttle *float64
	handler  func(typ string) jobqueue.Job
	async    *async
	fallback *bool
	domains  []string
}

func (r *reader) settings(n ast.Node, what string) settings {
	s := settings{line: n}
	of := func(key string) string { return what + "." + key }
	r.section(n, what, section{
		"backend": func(n ast.Node) {
			if v, ok := r.text(n, of("backend")); ok {
				s.backend = &v
			}
		},
		"class": func(n ast.Node) {
			if v, ok := r.text(n, of("class")); ok {
				s.class = &v
			}
		},
		"async":      func(n ast.Node) { s.async = r.readAsync(n, of("async")) },
		"fallback":   func(n ast.Node) { s.fallback = r.readFallback(n, of("fallback")) },
		"domains":    func(n ast.Node) { s.domains = r.readEnabled(n, of("domains")) },
		"atMostOnce": func(n ast.Node) { s.once = r.boolean(n, of("atMostOnce")) },
		"dedupe":     func(n ast.Node) { s.dedupe = r.boolean(n, of("dedupe")) },
		"exclude":    func(n ast.Node) { s.exclude = r.boolean(n, of("exclude")) },
		"maxTries":   func(n ast.Node) { s.maxTries = r.count(n, of("maxTries")) },
		"lease":      func(n ast.Node) { s.lease = r.duration(n, of("lease"), "") },
		"claimTTL":   func(n ast.Node) { s.claimTTL = r.duration(n, of("claimTTL"), "") },
		"timeout":    func(n ast.Node) { s.timeout = r.duration(n, of("timeout"), "none") },
		"keep":       func(n ast.Node) { s.keep = r.duration(n, of("keep"), "forever") },
		"backoff":    func(n ast.Node) { s.backoff = r.backoff(n, of("backoff")) },
		"throttle":   func(n ast.Node) { s.throttle = r.rate(n, of("throttle")) },
		"handler":    func(n ast.Node) { s.handler = r.handler(n, of("handler")) },
	})
	return s
}

func (r *reader) backoff(n ast.Node, what string) func(int) time.Duration {
	first, most := time.Second, time.Hour
	set := func(d *time.Duration, key string) func(ast.Node) {
		return func(n ast.Node) {
			if v := r.duration(n, what+"."+key, ""); v != nil {
				*d = *v
			}
		}
	}
	r.section(n, what, section{"first": set(&first, "first"), "most": set(&most, "most")})
	if first > most {
		r.fail(n, "%s: first, %v, must not be longer than most, %v", what, first, most)
		return nil
	}
	return jobqueue.ExponentialBackoff(first, most)
}

// over puts the settings over a policy, field by field.
func (s *settings) over(p *jobqueue.Policy) {
	set(&p.MaxTries, s.maxTries)
	set(&p.Lease, s.lease)
	set(&p.ClaimTTL, s.claimTTL)
	set(&p.Timeout, s.timeout)
	set(&p.Keep, s.keep)
	set(&p.Dedupe, s.dedupe)
	set(&p.AtMostOnce, s.once)
	set(&p.Rate, s.throttle)
	if s.backoff != nil {
		p.Backoff = s.backoff
	}
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
