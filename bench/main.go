// Bench measures this framework beside what a user would pick instead, on the same servers, with the same job, in one run.
//
// Each measurement is a process of its own, which is this program again; the systems take turns.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

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

func run() (err error) {
	if os.Getenv(worker) != "" {
		return sample.Main(measures)
	}
	quick := flag.Bool("quick", false, "the same rows with smaller sizes")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	only := flag.String("rows", "", "a regular expression: only the sections with such a name, such as redis or postgres singles")
	page := flag.String("markdown", "", "a file: write the table there as Markdown, too")
	curves := flag.String("curves", "", "a directory: measure how cost grows, and draw it there as SVG, instead of the table")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("there is no argument %q", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(ctx, *quick, *only)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if *curves != "" {
		return b.draw(ctx, *curves)
	}
	b.measure(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if *page != "" {
		var text strings.Builder
		b.report.markdown(&text)
		if err := os.WriteFile(*page, []byte(text.String()), 0o666); err != nil {
			return err
		}
	}
	if *asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(b.report)
	}
	b.report.print(os.Stdout)
	return nil
}
