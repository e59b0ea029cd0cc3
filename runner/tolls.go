package runner

import "github.com/wikifarm/jobqueue"

// A tolls is how many jobs of each capped type and domain a runner has claimed, or is about to.
type tolls struct {
	Types   map[string]int `json:"types,omitempty"`
	Domains map[string]int `json:"domains,omitempty"`
}

func newTolls() tolls { return tolls{map[string]int{}, map[string]int{}} }

// add adds a job of a queue, where there is a cap.
func (t tolls) add(n jobqueue.Name, c *Caps) {
	_, _, ofType, ofDomain := c.of(n)
	if ofType {
		t.Types[n.Type]++
	}
	if ofDomain {
		t.Domains[n.Domain]++
	}
}

// bytes returns no less than how long the JSON of t is, and more how much one more job of a queue makes it.
func (t tolls) bytes() int {
	n := len(`{"types":{},"domains":{}}`)
	for _, m := range []map[string]int{t.Types, t.Domains} {
		for name := range m {
			n += tollBytes(name)
		}
	}
	return n
}

func (t tolls) more(n jobqueue.Name, c *Caps) (bytes int) {
	_, _, ofType, ofDomain := c.of(n)
	if ofType && t.Types[n.Type] == 0 {
		bytes += tollBytes(n.Type)
	}
	if ofDomain && t.Domains[n.Domain] == 0 {
		bytes += tollBytes(n.Domain)
	}
	return bytes
}

// tollBytes returns how long a name and its count are at most. A byte may become \u0026.
func tollBytes(name string) int {
	n := len(`"":100000,`)
	for i := range len(name) {
		if b := name[i]; b == '"' || b == '\\' {
			n += 2
		} else if b == '<' || b == '>' || b == '&' || b >= 0x80 {
			n += 6
		} else {
			n++
		}
	}
	return n
}

func (t tolls) none() bool { return len(t.Types)+len(t.Domains) == 0 }

func (t tolls) plus(o tolls) {
	for n, count := range o.Types {
		t.Types[n] += count
	}
	for n, count := range o.Domains {
		t.Domains[n] += count
	}
}

// within reports whether none of t is more than in o.
func (t tolls) within(o tolls) bool {
	for n, count := range t.Types {
		if count > o.Types[n] {
			return false
		}
	}
	for n, count := range t.Domains {
		if count > o.Domains[n] {
			return false
		}
	}
	return true
}
