package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// Imported is a farm file made from the configuration of another system.
type Imported struct {
	File  string   // the text of the farm file
	Notes []string // what could not be carried over, a line each
}

// leastReal is what the jobrunner service raises shorter limits to.
const leastReal = 120 * time.Second

// ImportJobrunner makes a farm file of a configuration of Wikimedia's jobrunner service: JSON
// in which what stands behind // is a comment. The password in it is not copied.
func ImportJobrunner(text []byte) (*Imported, error) {
	var conf jobrunner
	if err := conf.read(uncommented(text)); err != nil {
		return nil, err
	}
	w := &jobrunnerWriter{conf: &conf}
	w.write()
	return &Imported{w.b.String(), w.notes}, nil
}

// uncommented blanks out comments: what stands behind two slashes outside of a string.
func uncommented(text []byte) []byte {
	out := bytes.Clone(text)
	quoted := false
	for i := 0; i < len(out); i++ {
		switch {
		case quoted && out[i] == '\\':
			i++
		case out[i] == '"':
			quoted = !quoted
		case !quoted && out[i] == '/' && i+1 < len(out) && out[i+1] == '/':
			for ; i < len(out) && out[i] != '\n'; i++ {
				out[i] = ' '
			}
		}
	}
	return out
}

// A jobrunner is the part of such a configuration that has a meaning here.
type jobrunner struct {
	groups      map[string]jobrunnerGroup
	attempts    map[string]float64
	claimTTL    map[string]float64
	real        map[string]float64
	memory      map[string]string
	aggregators []string
	queues      []string
	password    bool
	statsd      string
	dispatcher  string
	unknown     []string // keys
}

type jobrunnerGroup struct {
	runners               int
	include, exclude, low []string
}

// read reads the JSON. Its errors name the key and what would be right.
func (c *jobrunner) read(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	var top json.RawMessage
	if err := dec.Decode(&top); err != nil {
		return fmt.Errorf("%w: it is not valid JSON: %w", jobqueue.ErrInvalid, plainJSON(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is something behind the JSON object", jobqueue.ErrInvalid)
	}
	var errs []error
	fail := func(key, want string) {
		errs = append(errs, fmt.Errorf("%w: %s must be %s", jobqueue.ErrInvalid, key, want))
	}
	decode := func(raw json.RawMessage, to any, key, want string) {
		if json.Unmarshal(raw, to) != nil || string(raw) == "null" {
			fail(key, want)
		}
	}
	each := func(raw json.RawMessage, key string, do func(name string, raw json.RawMessage)) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil || m == nil {
			fail(key, "a JSON object")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			do(name, m[name])
		}
	}
	limits := map[string]*map[string]float64{"attempts": &c.attempts, "claimTTL": &c.claimTTL, "real": &c.real}
	each(top, "the configuration", func(key string, raw json.RawMessage) {
		switch key {
		case "groups":
			c.groups = map[string]jobrunnerGroup{}
			each(raw, key, func(name string, raw json.RawMessage) {
				g, runners := jobrunnerGroup{}, false
				of := "groups." + name
				each(raw, of, func(key string, raw json.RawMessage) {
					switch key {
					case "runners":
						runners = true
						decode(raw, &g.runners, of+".runners", "a whole number")
					case "include":
						decode(raw, &g.include, of+".include", "a list of types")
					case "exclude":
						decode(raw, &g.exclude, of+".exclude", "a list of types")
					case "low-priority":
						decode(raw, &g.low, of+".low-priority", "a list of types")
					default:
						c.unknown = append(c.unknown, of+"."+key)
					}
				})
				if !runners || g.runners < 0 {
					fail(of+".runners", "a whole number")
				}
				c.groups[name] = g
			})
		case "limits":
			each(raw, key, func(name string, raw json.RawMessage) {
				switch limit := limits[name]; {
				case limit != nil:
					decode(raw, limit, "limits."+name, "an object of numbers by type")
				case name == "memory":
					decode(raw, &c.memory, "limits.memory", "an object of sizes by type, such as \"300M\"")
				default:
					c.unknown = append(c.unknown, "limits."+name)
				}
			})
		case "redis":
			each(raw, key, func(name string, raw json.RawMessage) {
				switch name {
				case "aggregators":
					decode(raw, &c.aggregators, "redis.aggregators", "a list of servers")
				case "queues":
					decode(raw, &c.queues, "redis.queues", "a list of servers")
				case "password":
					c.password = string(raw) != "null" && string(raw) != `""`
				default:
					c.unknown = append(c.unknown, "redis."+name)
				}
			})
		case "statsd":
			decode(raw, &c.statsd, key, "a server")
		case "dispatcher":
			decode(raw, &c.dispatcher, key, "a command")
		default:
			c.unknown = append(c.unknown, key)
		}
	})
	if len(errs) == 0 {
		switch {
		case len(c.groups) == 0:
			fail("groups", "there, with at least one group")
		case len(c.queues) == 0:
			fail("redis.queues", "a list of at least one server")
		}
	}
	return errors.Join(errs...)
}

// plainJSON says what is wrong without the name of the package.
func plainJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too soon")
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("at byte %d: %s", e.Offset, e.Error())
	}
	return err
}

// A jobrunnerWriter writes the farm file.
type jobrunnerWriter struct {
	conf  *jobrunner
	b     strings.Builder
	notes []string
}

func (w *jobrunnerWriter) line(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

func (w *jobrunnerWriter) note(format string, args ...any) {
	w.notes = append(w.notes, oneLine(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")))
}

const passwordFile = "redis.password"

func (w *jobrunnerWriter) write() {
	c := w.conf
	w.line("# Made of the configuration of a jobrunner service.")
	w.line("backends:")
	for i, server := range c.queues {
		w.line("  %s: %s", backendName(i), w.server(server))
	}
	if len(c.queues) > 1 {
		w.note("redis.queues: jobs were spread over %d servers; here they all go to the first, %s, unless types.TYPE.backend says otherwise", len(c.queues), c.queues[0])
	}
	if len(c.aggregators) > 0 {
		w.line("aggregator:")
		for _, server := range c.aggregators {
			w.line("  - %s", w.server(server))
		}
	}
	if c.password {
		w.note("redis.password: put the password into the file %s beside the farm file", passwordFile)
	}
	w.writeGroups()
	w.writeTypes()
	w.line("# The handler of each type is missing; see the notes.")
	w.note("dispatcher: %q took jobs off the queue itself; here a handler gets one job at a time: give default.handler, such as {exec: [php, run-one.php]} or {http: {url: …}}", c.dispatcher)
	w.note("jobs that are in the queues now are not taken over: let the old runners finish them")
	for typ, size := range sortedPairs(c.memory) {
		w.note("limits.memory of %s: give its exec handler memory: %s", typ, size)
	}
	if c.statsd != "" {
		w.note("statsd: %s gets no numbers", c.statsd)
	}
	for _, key := range c.unknown {
		w.note("%s: the jobrunner service has no such setting", key)
	}
}

func backendName(i int) string { return "queue" + strconv.Itoa(i+1) }

// server is the mapping of one server, which is host, host:port or the path of a socket.
func (w *jobrunnerWriter) server(s string) string {
	url := "redis://" + s
	switch {
	case strings.HasPrefix(s, "/"):
		url = "unix://" + s
	case !strings.Contains(s, ":"):
		url += ":6379"
	}
	if w.conf.password {
		return fmt.Sprintf("{kind: redis, url: %s, passwordFile: %s}", strconv.Quote(url), passwordFile)
	}
	return fmt.Sprintf("{kind: redis, url: %s}", strconv.Quote(url))
}

// writeGroups writes the groups that name their types before those of all types: a type is run by the first that includes it.
func (w *jobrunnerWriter) writeGroups() {
	var all []schedule.Group
	for name, g := range sortedPairs(w.conf.groups) {
		s := schedule.Group{Name: name, Workers: min(g.runners, maxWorkers), Include: named(g.include), Exclude: named(g.exclude), Low: named(g.low)}
		if s.Workers == 0 || len(s.Include) == 0 || slices.Contains(s.Exclude, "*") {
			w.note("groups.%s: it has no runners or no types, so it is left out; types that no group runs are excluded", name)
			continue
		}
		s.Low = slices.DeleteFunc(s.Low, func(typ string) bool {
			if !s.Covers(typ) {
				w.note("groups.%s.low-priority: %s is left out, as the group does not run it", name, typ)
			}
			return !s.Covers(typ)
		})
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b schedule.Group) int {
		return cmp.Compare(min(slices.Index(a.Include, "*"), 0), min(slices.Index(b.Include, "*"), 0))
	})
	for i, g := range all {
		if i == 0 {
			w.line("groups:")
		}
		for _, typ := range g.Include {
			if k := slices.IndexFunc(all[:i], func(o schedule.Group) bool { return o.Covers(typ) }); k >= 0 {
				w.note("groups.%s: %s is run by the workers of %s alone, as a type is in one group", g.Name, typ, all[k].Name)
			}
		}
		w.line("  %s:", strconv.Quote(g.Name))
		w.line("    workers: %d", g.Workers)
		w.types("include", g.Include)
		w.types("exclude", g.Exclude)
		w.types("lowPriority", g.Low)
	}
}

// named returns those of some types that can have jobs.
func named(types []string) []string {
	return slices.DeleteFunc(slices.Clone(types), func(typ string) bool { return checkDomain(typ) != nil })
}

func (w *jobrunnerWriter) types(key string, types []string) {
	if len(types) == 0 {
		return
	}
	quoted := make([]string, len(types))
	for i, t := range types {
		quoted[i] = strconv.Quote(t)
	}
	w.line("    %s: [%s]", key, strings.Join(quoted, ", "))
}

// covered reports whether a group runs a type.
func (w *jobrunnerWriter) covered(typ string) bool {
	for _, g := range w.conf.groups {
		s := schedule.Group{Include: g.include, Exclude: g.exclude}
		if g.runners > 0 && s.Covers(typ) {
			return true
		}
	}
	return false
}

// writeTypes writes the limits: those of all types into default.
func (w *jobrunnerWriter) writeTypes() {
	c := w.conf
	settings := map[string][]string{}
	for typ, n := range sortedPairs(c.attempts) {
		settings[typ] = append(settings[typ], fmt.Sprintf("maxTries: %d", max(1, int(n))))
	}
	for typ, n := range sortedPairs(c.claimTTL) {
		settings[typ] = append(settings[typ], "claimTTL: "+wholeSeconds(n, time.Second))
	}
	for typ, n := range sortedPairs(c.real) {
		settings[typ] = append(settings[typ], "timeout: "+wholeSeconds(n, leastReal))
	}
	maps.DeleteFunc(settings, func(typ string, _ []string) bool { return checkDomain(typ) != nil })
	for typ := range settings {
		if typ != "*" && !w.covered(typ) {
			settings[typ] = append(settings[typ], "exclude: true")
		}
	}
	w.line("default:")
	w.line("  backend: %s", backendName(0))
	for _, s := range settings["*"] {
		w.line("  %s", s)
	}
	delete(settings, "*")
	if len(settings) > 0 {
		w.line("types:")
	}
	for typ, list := range sortedPairs(settings) {
		w.line("  %s: {%s}", strconv.Quote(typ), strings.Join(list, ", "))
	}
}

func wholeSeconds(n float64, least time.Duration) string {
	d := time.Duration(min(max(n, 0), jobqueue.MaxDelay.Seconds()) * float64(time.Second)).Round(time.Second)
	return max(d, least).String()
}

func sortedPairs[V any](m map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
