package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
)

// AddHandlers adds the farm file's handlers to reg; that of default becomes
// the fallback for the types that have no other. Call it after the
// program has added its own types: a type that both have is an error.
func (f *Farm) AddHandlers(reg *jobqueue.Registry) error {
	own := reg.Types()
	for _, typ := range slices.Sorted(maps.Keys(f.types)) {
		argv := f.types[typ].exec
		if argv == nil {
			continue
		}
		if slices.Contains(own, typ) {
			return fmt.Errorf("%s: types.%s.handler: this program has a handler for the type of its own, leave this one out",
				f.path, jobqueue.EscapeName(typ))
		}
		job := handler.Exec(argv[0], argv[1:]...)
		reg.Add(func() jobqueue.Job { return job(typ) }, jobqueue.Policy{})
	}
	if argv := f.def.exec; argv != nil {
		reg.Fallback(handler.Exec(argv[0], argv[1:]...), jobqueue.Policy{})
	}
	return nil
}
