package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// A program that pushes to the farm that its runners serve.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "farm")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "farm.yaml")
	os.WriteFile(path, []byte(`
domains: [enwiki, dewiki]
backends:
  main: {kind: sqlite, path: jobs.db}
types:
  purge: {dedupe: true}
`), 0o600)

	farm, err := config.Load(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	queues, err := farm.Open(ctx, &jobqueue.Registry{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer queues.Close()
	purge := jobqueue.Spec{Type: "purge", Params: []byte(`{"page": "Main Page"}`)}
	pushed, err := queues.On("enwiki").Push(ctx, purge, purge)
	fmt.Println(pushed.Stored(), "stored,", pushed.Duplicates(), "duplicate", err)
	// Output: 1 stored, 1 duplicate <nil>
}
