package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
)

// onDemand is how the farm's domains are run on demand.
type onDemand struct {
	line    ast.Node
	store   *value // nil: that of the control values
	rules   lease.Rules
	json    bool // the log
	all     onDemandOf
	domains map[string]onDemandOf
}

// onDemandOf is what the file says of one domain, or of all. What is nil is not said.
type onDemandOf struct {
	disable, noDelay *bool
	readOnly, log    *string
}

// mostInterval is the longest interval and TTL of a lease, which itself is kept for longer.
const mostInterval = 7 * 24 * time.Hour

// mostKept is how many runs of a domain may be kept in its history, which is read and written with each run.
const mostKept = 200

func (f *Farm) readOnDemand(r *reader, n ast.Node) {
	d := &f.onDemand
	d.line, d.domains = n, map[string]onDemandOf{}
	keys := r.onDemandKeys(&d.all, "ondemand")
	keys["store"] = func(n ast.Node) {
		if v, ok := r.text(n, "ondemand.store"); ok {
			d.store = &v
		}
	}
	rule := func(p *time.Duration, what string, least time.Duration) func(ast.Node) {
		return func(n ast.Node) {
			v := r.duration(n, what, "")
			if v != nil && (*v < least || *v > mostInterval) {
				r.fail(n, "%s must be %v to 7d, not %v", what, least, *v)
			} else if v != nil {
				*p = *v
			}
		}
	}
	keys["interval"] = rule(&d.rules.Interval, "ondemand.interval", time.Second)
	keys["ttl"] = rule(&d.rules.TTL, "ondemand.ttl", time.Second)
	keys["keep"] = func(n ast.Node) {
		if v := r.count(n, "ondemand.keep"); v != nil && *v > mostKept {
			r.fail(n, "ondemand.keep must be at most %d, not %d", mostKept, *v)
		} else {
			set(&d.rules.Keep, v)
		}
	}
	keys["logFormat"] = func(n ast.Node) {
		v, ok := r.text(n, "ondemand.logFormat")
		if d.json = v.text == "json"; ok && !d.json && v.text != "text" {
			r.fail(n, "ondemand.logFormat must be text or json, not %s", v.show())
		}
	}
	keys["domains"] = func(n ast.Node) {
		r.pairs(n, "ondemand.domains", func(domain string, at, n ast.Node) {
			what := "ondemand.domains." + jobqueue.EscapeName(domain)
			if checkDomain(domain) != nil {
				r.fail(at, "ondemand.domains: %q is not 1 to 255 bytes of UTF-8 without control characters", domain)
			} else {
				r.mentioned = append(r.mentioned, namedDomain{at, "ondemand.domains", value{domain, domain}})
			}
			if _, twice := d.domains[domain]; twice {
				r.fail(at, "%s is given twice", what)
			}
			var of onDemandOf
			r.section(n, what, r.onDemandKeys(&of, what))
			d.domains[domain] = of
		})
	}
	r.section(n, "ondemand", keys)
}

// onDemandKeys are those that may be said of all domains and of one.
func (r *reader) onDemandKeys(d *onDemandOf, what string) section {
	return section{
		"disable": func(n ast.Node) { d.disable = r.boolean(n, what+".disable") },
		"noDelay": func(n ast.Node) { d.noDelay = r.boolean(n, what+".noDelay") },
		"readOnly": func(n ast.Node) {
			v, ok := r.scalar(n, what+".readOnly")
			if ok && slices.Contains([]string{"true", "false", "yes", "no"}, v.text) {
				r.fail(n, `%s.readOnly must be the reason why nothing may be written, or "" if it may, not %s`, what, v.show())
			} else if ok {
				d.readOnly = &v.text
			}
		},
		"logFile": func(n ast.Node) {
			if v, ok := r.text(n, what+".logFile"); ok {
				d.log = new(r.absolute(v.text))
			}
		},
	}
}

// checkOnDemand finds a store that there is not.
func (f *Farm) checkOnDemand(r *reader) {
	d := &f.onDemand
	if d.store == nil || len(f.backends) == 0 {
		return
	}
	if _, ok := f.backends[d.store.text]; !ok {
		r.fail(d.line, "ondemand.store must be one of the backends, not %s", d.store.show())
	} else if owner := f.owner[d.store.text]; owner != "" {
		r.fail(d.line, "ondemand.store: %s is a partition of backends.%s, which may be away", d.store.show(), jobqueue.EscapeName(owner))
	}
}

// OnDemandSwitch returns what the file says of runs on demand of a domain. It fits
// [ondemand.Options.Switch]; [Farm.FollowOnDemand] follows the file as well.
func (f *Farm) OnDemandSwitch(domain string) ondemand.Switch {
	s := ondemand.Switch{ReadOnly: f.readOnly}
	for _, of := range []onDemandOf{f.onDemand.all, f.onDemand.domains[domain]} {
		set(&s.Disabled, of.disable)
		set(&s.NoDelay, of.noDelay)
		if f.readOnly == "" {
			set(&s.ReadOnly, of.readOnly)
		}
	}
	return s
}

// OnDemandLog returns the log of runs on demand of a domain; without a file its Path is "".
func (f *Farm) OnDemandLog(domain string) *ondemand.Log {
	l := &ondemand.Log{JSON: f.onDemand.json, Logger: f.logger()}
	set(&l.Path, f.onDemand.all.log)
	set(&l.Path, f.onDemand.domains[domain].log)
	return l
}

// Leases returns the leases of the farm's domains, in the store that the file names for them or, if it names none, in
// that of what is paused.
func (f *Farm) Leases(q *Queues) (*lease.Store, error) {
	s := &lease.Store{Control: q.Control, Rules: f.onDemand.rules, Logger: f.logger()}
	if name := f.onDemand.store; name != nil {
		s.Control = nil
		for _, st := range q.Stores {
			if st.Name == name.text {
				s.Control, _ = st.Backend.(jobqueue.Control)
			}
		}
	}
	if s.Control == nil {
		return nil, fmt.Errorf("%w: the store keeps no leases, name another one as ondemand.store", jobqueue.ErrInvalid)
	}
	return s, nil
}
