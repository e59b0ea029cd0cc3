// Gofarm makes a farm of three wikis from the Go source tree: each package is a
// page, its doc comment the text, its imports and doc links the links. The work
// is done by the jobs that keep a wiki's tables true:
//
//	refreshLinks              parses a page again, stores its links and categories
//	htmlCacheUpdate           renders a page, or fans out to the pages that link to one
//	categoryMembershipChange  lists a page in its categories
//
// The queue is one SQLite file and what the jobs compute another, both in ./demo.
//
//	gofarm demo     makes the farm, runs its jobs and reports what is true of it
//	gofarm report   reports again
//	gofarm page     prints a rendered page
//	gofarm sql      asks the wikis
//
// The subcommands runjobs and jobctl are those of package cli with these jobs built in.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

// run runs a command line and returns its exit status.
func run(args []string, out io.Writer) int {
	var f files
	defer f.close()
	cmd := f.command()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	return cli.Execute(cmd)
}

func (f *files) command() *cobra.Command {
	root := &cobra.Command{Use: "gofarm", Short: "Three wikis made from the Go source tree", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().StringVar(&f.dir, "dir", "demo", "`folder` of the farm")
	root.PersistentFlags().StringVar(&f.source, "source", "", "source tree, a `folder` (default that of the Go installation)")
	root.AddCommand(f.demo(), f.report(), f.page(), f.sql(), cli.RunJobs(f.app()), cli.JobCtl(f.app()))
	return root
}

// app is how the commands of package cli get the jobs.
func (f *files) app() cli.App {
	return cli.App{Register: func(reg *jobqueue.Registry, g *jobqueue.Group) error {
		_, err := f.farm(context.Background(), reg, g)
		return err
	}}
}

func (f *files) report() *cobra.Command {
	cmd := &cobra.Command{Use: "report", Short: "Report what is true of the farm", Args: cobra.NoArgs}
	below := belowFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.with(cmd.Context(), func(farm *farm) error { return farm.report(cmd.Context(), cmd.OutOrStdout(), *below) })
	}
	return cmd
}

func belowFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("below", ".", "only the packages below this `directory` of the source")
}

func (f *files) page() *cobra.Command {
	return &cobra.Command{
		Use:   "page TITLE",
		Short: "Print a rendered page, such as std:net/http",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t title
			if err := t.UnmarshalText([]byte(args[0])); err != nil {
				return err
			}
			return f.with(cmd.Context(), func(farm *farm) error {
				html, err := farm.store.html(cmd.Context(), t)
				fmt.Fprint(cmd.OutOrStdout(), html)
				return err
			})
		},
	}
}

func (f *files) sql() *cobra.Command {
	return &cobra.Command{
		Use:   "sql QUERY",
		Short: "Print the rows of a query",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), func(farm *farm) error {
				return farm.store.print(cmd.Context(), cmd.OutOrStdout(), args[0])
			})
		},
	}
}
