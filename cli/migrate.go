package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

func (e *env) migrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the files of the farm to the format of this program",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown argument %q of migrate, it must be up, status or print", args[0])
			}
			return usagef("migrate what? It must be up, status or print")
		},
		Run: func(*cobra.Command, []string) {},
	}
	c.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Migrate every SQLite file of the farm, and make those that do not exist", Args: noArgs,
			RunE: e.files(true, func(ctx context.Context, w io.Writer, name, path string) error {
				if err := sqlite.Migrate(ctx, path); err != nil {
					return err
				}
				return printStatus(ctx, w, name, path)
			}),
		},
		&cobra.Command{
			Use: "status", Short: "Show the formats of the farm's files and of this program", Args: noArgs,
			RunE: e.files(false, printStatus),
		},
		&cobra.Command{
			Use: "print", Short: "Print the statements of every migration", Args: noArgs,
			RunE: func(c *cobra.Command, _ []string) error { return printMigrations(c.OutOrStdout()) },
		},
	)
	return c
}

// files makes a cobra RunE of what is to be done to each SQLite file of the farm.
func (e *env) files(create bool, do func(ctx context.Context, w io.Writer, name, path string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		farm, err := e.farm(create)
		if err != nil {
			return err
		}
		return farm.Files(func(f config.File) error {
			if err := do(c.Context(), c.OutOrStdout(), f.Name, f.Path); err != nil {
				return openStatus(f.Explain(err))
			}
			return nil
		})
	}
}

func printStatus(ctx context.Context, w io.Writer, name, path string) error {
	st, err := sqlite.MigrationStatus(ctx, path)
	if err != nil {
		return err
	}
	fits := "up to date"
	switch {
	case st.Format == 0:
		fits = "new"
	case st.Oldest > st.Newest:
		fits = "needs a newer program"
	case st.Pending() > 0:
		fits = fmt.Sprintf("%d migrations pending", st.Pending())
	}
	_, err = fmt.Fprintf(w, "%s: format %d, this program %d: %s\n", name, st.Format, st.Newest, fits)
	return err
}

func printMigrations(w io.Writer) error {
	for _, m := range sqlite.Migrations() {
		if _, err := fmt.Fprintf(w, "-- to format %d\n%s\n", m.Format, strings.TrimSpace(m.SQL)); err != nil {
			return err
		}
	}
	return nil
}
