//go:build unix

package cli_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// leave is a program that moves ten jobs of one queue as far as a copy that is killed does: after 1 step the first backend
// holds them, after 2 both do, and after 3 the second one does.
func leave() {
	if len(os.Args) != 5 {
		log.Fatal("usage: leave farm from to steps")
	}
	steps, err := strconv.Atoi(os.Args[4])
	if err == nil {
		err = leaveBetween(os.Args[1], os.Args[2], os.Args[3], steps)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func leaveBetween(file, from, to string, steps int) error {
	farm, err := config.Load(file)
	if err != nil {
		return err
	}
	ctx := context.Background()
	q, err := farm.Open(ctx, &jobqueue.Registry{})
	if err != nil {
		return err
	}
	defer q.Close()
	b, known := map[string]jobqueue.Holder{}, map[string]string{}
	for _, st := range q.Stores {
		if st.Name != from && st.Name != to {
			continue
		}
		b[st.Name] = st.Backend.(jobqueue.Holder)
		v, err := st.Backend.(jobqueue.Control).Values(ctx, "copy/store")
		if err != nil || len(v) != 1 {
			return fmt.Errorf("%s has no identity: %v, %w", st.Name, v, err)
		}
		known[st.Name] = string(v[0].Data)
	}
	h := jobqueue.Hold{ID: uuid.New(), Label: strings.Join([]string{"copy", from, to, known[from], known[to]}, " ")}
	counts, err := b[from].(jobqueue.Backend).Counts(ctx)
	if err != nil {
		return err
	}
	for _, n := range counts {
		if n.Ready > 0 && (h.Domain == "" || n.Ready > 1) {
			h.Name = n.Name
		}
	}
	held, err := b[from].Hold(ctx, h, 10)
	if err == nil && len(held) == 0 {
		err = fmt.Errorf("there are no jobs of %v to leave", h.Name)
	}
	if err == nil && steps > 1 {
		err = b[to].Keep(ctx, h, held)
	}
	if err == nil && steps > 2 {
		err = b[from].Drop(ctx, h)
	}
	return err
}
