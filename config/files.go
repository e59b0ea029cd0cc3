package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// CheckFiles returns an error that names every file with a password or a certificate which the farm needs and which cannot
// be read or holds none, with the line of its backend. It opens no backend. What it finds right may be wrong when the farm is opened.
func (f *Farm) CheckFiles() error {
	var errs []error
	check := func(what string, b backend) {
		var err error
		switch {
		case b.kind == "redis":
			_, err = redisFor(b)
		case b.kind == "postgres":
			_, err = b.options()
		}
		if err != nil {
			// That the mistake is one goes without saying.
			text := strings.TrimPrefix(err.Error(), jobqueue.ErrInvalid.Error()+": ")
			errs = append(errs, fmt.Errorf("%s:%d: %s: %s", f.path, b.line.GetToken().Position.Line, what, text))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.backends)) {
		check("backends."+jobqueue.EscapeName(name), f.backends[name])
	}
	for i, b := range f.aggregator {
		check(fmt.Sprintf("aggregator, server %d", i+1), b)
	}
	return errors.Join(errs...)
}
