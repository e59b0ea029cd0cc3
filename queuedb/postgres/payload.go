package postgres

import (
	"encoding/json"
	"strings"

	"github.com/wikifarm/jobqueue"
)

const (
	testPrefix  = "test " // of the payload of a notification that only tests whether it gets through
	mostPayload = 7999    // bytes that the server takes
)

// payload returns what a notification says: a list of who sends it and, by twos, the domains and types of the
// queues that have got work. If these are too many it names none, which stands for any.
func payload(id string, names []jobqueue.Name) string {
	list := []string{id}
	for _, n := range names {
		list = append(list, n.Domain, n.Type)
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	// Strings can always be encoded.
	e.Encode(list)
	if p := strings.TrimSuffix(text.String(), "\n"); len(p) <= mostPayload {
		return p
	}
	return payload(id, nil)
}

// readPayload returns what a notification says. Anybody may send one, so what is not understood says that there is
// work somewhere.
func readPayload(p string) (id string, names []jobqueue.Name) {
	var list []string
	if err := json.Unmarshal([]byte(p), &list); err != nil || len(list)%2 == 0 {
		return "", nil
	}
	for i := 1; i < len(list); i += 2 {
		n := jobqueue.Name{Domain: list[i], Type: list[i+1]}
		if n.Check() != nil {
			return "", nil
		}
		names = append(names, n)
	}
	return list[0], names
}
