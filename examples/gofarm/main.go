// Gofarm makes a farm of three wikis from the Go source tree: each package is a
// page, its doc comment the text, its imports and doc links the links.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gofarm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, source string) error {
	dir, err := os.MkdirTemp("", "gofarm")
	if err != nil {
		return err
	}
	s, err := openStore(ctx, filepath.Join(dir, "wiki.db"))
	if err != nil {
		return err
	}
	defer s.Close()
	var reg jobqueue.Registry
	f := newFarm(tree{os.DirFS(source)}, s, &reg, jobqueue.NewGroup(wikiStd, jobqueue.Routes{Default: queuememory.New(), Policy: reg.Policy}))
	d := demo{
		out: os.Stdout, below: ".",
		with: func(_ context.Context, do func(*farm) error) error { return do(f) },
		drain: func(ctx context.Context, most int) error {
			r, err := runner.Run(ctx, f.queue, &reg, &runner.Options{MaxJobs: most})
			fmt.Println(r)
			return err
		},
	}
	return d.run(ctx)
}
