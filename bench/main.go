// Bench measures this framework beside what a user would pick instead, on the same servers, with the same job, in one run.
//
// Each measurement is a process of its own, which is this program again; the systems take turns.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// measures are all that this program can measure.
var measures = map[string]sample.Measure{}

// worker is set in the environment of processes that measure.
const worker = "JOBQUEUE_BENCH_WORKER"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	if os.Getenv(worker) != "" {
		return sample.Main(measures)
	}
	quick := flag.Bool("quick", false, "the same rows with smaller sizes")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	only := flag.String("rows", "", "a regular expression: only rows with such a name")
	curves := flag.String("curves", "", "a directory: measure how cost grows, and draw it there as SVG, instead of the table")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("there is no argument %q", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := newBench(*quick, *only)
	if err != nil {
		return err
	}
	defer b.close()
	if *curves != "" {
		return b.draw(ctx, *curves)
	}
	b.measure(ctx)
	if *asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(b.report)
	}
	b.report.print(os.Stdout)
	return ctx.Err()
}
