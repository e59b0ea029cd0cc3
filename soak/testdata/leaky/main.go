// Leaky has one job type, whose jobs never give back what they take. It is built without the race detector, which
// itself needs more than a limit on the memory of a process leaves.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
)

func main() {
	cli.Main(cli.App{Register: func(reg *jobqueue.Registry, _ *jobqueue.Group) error {
		f, err := os.OpenFile(os.Getenv("SOAK_FARM"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		reg.Add(func() jobqueue.Job { return &deed{f: f} }, jobqueue.Policy{})
		return err
	}})
}

var (
	mu     sync.Mutex
	leaked [][]byte
)

type deed struct {
	N, Leak int
	f       *os.File
}

func (*deed) Type() string { return "deed" }

func (j *deed) Run(context.Context) error {
	b := make([]byte, j.Leak)
	for i := range b {
		b[i] = byte(i)
	}
	mu.Lock()
	leaked = append(leaked, b)
	mu.Unlock()
	_, err := fmt.Fprintln(j.f, "done", j.N, os.Getpid())
	return err
}
