package runner

import (
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue"
)

// KnownTypes returns how many types a runner knows that had work of n of them, one each second.
func KnownTypes(g *jobqueue.Group, reg *jobqueue.Registry, n int) int {
	r := newRun(g, reg, nil)
	for i := range n {
		r.fetcher.jobType(r.stores[0], fmt.Sprint("type", i))
		time.Sleep(time.Second)
	}
	return len(r.fetcher.types)
}
