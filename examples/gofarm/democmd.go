package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wikifarm/jobqueue/cli"
)

const lookFurther = `
Look further:
  alias gofarm='go run ./examples/gofarm --dir %[1]s'
  gofarm page std:net/http                # a page as it was rendered
  gofarm sql 'select wiki, path, count(*) from leads where target is null group by 1, 2 order by 3 desc'
  sqlite3 %[1]s/wiki.db .schema             # if you have it
  gofarm jobctl push --config %[1]s/farm.yaml --domain std --type refreshLinks --params '{"page":"std:fmt"}'
  gofarm jobctl show --config %[1]s/farm.yaml
  gofarm runjobs --config %[1]s/farm.yaml   # runs that, and what follows from it
  gofarm report                           # is it all true again?
`

func (f *files) demo() *cobra.Command {
	cmd := &cobra.Command{Use: "demo", Short: "Make the farm, run its jobs and report", Args: cobra.NoArgs}
	below := belowFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
		defer stop()
		if err := f.reset(); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		d := demo{out: out, below: *below, with: f.with, drain: func(ctx context.Context, most int) error {
			return f.runjobs(ctx, out, most)
		}}
		if err := d.run(ctx); err != nil {
			return err
		}
		fmt.Fprintf(out, lookFurther, f.dir)
		return nil
	}
	return cmd
}

// runjobs runs the command of that name and notes how long it took. It shows a
// progress bar on a terminal; elsewhere its lines, one for each job, go to a file.
func (f *files) runjobs(ctx context.Context, out io.Writer, most int) error {
	args := []string{"--config", f.farmFile()}
	if most > 0 {
		args = append(args, "--maxjobs", strconv.Itoa(most))
	}
	cmd := cli.RunJobs(f.app())
	cmd.SetArgs(args)
	cmd.SetContext(ctx)
	cmd.SetOut(out)
	if file, ok := out.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		lines, err := os.OpenFile(f.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		defer lines.Close()
		cmd.SetOut(lines)
	}
	start := time.Now()
	if status := cli.Execute(cmd); status != 0 {
		return fmt.Errorf("runjobs ended with status %d, see %s", status, f.log())
	}
	if ctx.Err() != nil { // runjobs stopped in good order, with jobs left
		return context.Cause(ctx)
	}
	_, err := f.store.writer.ExecContext(ctx, "insert into drains (seconds) values (?)", time.Since(start).Seconds())
	return err
}
