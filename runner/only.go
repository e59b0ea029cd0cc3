package runner

import (
	"maps"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// only makes sets of the domains of Options.Only.
func only(lists map[string][]string) map[string]map[string]bool {
	sets := make(map[string]map[string]bool, len(lists))
	for typ, domains := range lists {
		set := make(map[string]bool, len(domains))
		for _, d := range domains {
			set[d] = true
		}
		sets[typ] = set
	}
	return sets
}

// serves reports whether a type is run on a domain.
func serves(only map[string]map[string]bool, n jobqueue.Name) bool {
	domains, some := only[n.Type]
	return !some || domains[n.Domain]
}

// shownOnly returns what a presence says of Options.Only: what is too long is left out.
func shownOnly(lists map[string][]string) map[string][]string {
	shown := map[string][]string{}
	for typ, domains := range lists {
		if len(domains) <= mostListed {
			shown[typ] = slices.Sorted(slices.Values(domains))
		}
	}
	return shown
}

// halve leaves out half of what a presence says of types.
func halve(shown map[string][]string) {
	types := slices.Sorted(maps.Keys(shown))
	for _, typ := range types[len(types)/2:] {
		delete(shown, typ)
	}
}
