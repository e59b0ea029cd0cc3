package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/config"
)

func (e *env) migrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the databases of the farm to the format of this program",
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
			Use: "up", Short: "Migrate every database of the farm, and make the files, schemas and tables that do not exist", Args: noArgs,
			RunE: e.databases(true, func(ctx context.Context, w io.Writer, d config.Database) error {
				if err := d.Migrate(ctx); err != nil {
					return err
				}
				return printStatus(ctx, w, d)
			}),
		},
		&cobra.Command{
			Use: "status", Short: "Show the formats of the farm's databases and of this program", Args: noArgs,
			RunE: e.databases(false, printStatus),
		},
		&cobra.Command{
			Use: "print", Short: "Print the statements of every migration", Args: noArgs,
			RunE: e.printMigrations,
		},
	)
	return c
}

// databases makes a cobra RunE of what is to be done to each database of the farm.
func (e *env) databases(create bool, do func(context.Context, io.Writer, config.Database) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		farm, err := e.farm(create)
		if err != nil {
			return err
		}
		return eachDatabase(c.OutOrStdout(), farm, func(d config.Database) error {
			if err := do(c.Context(), c.OutOrStdout(), d); err != nil {
				return openStatus(err)
			}
			return nil
		})
	}
}

// eachDatabase is [config.Farm.Databases] that says so if there are none.
func eachDatabase(w io.Writer, farm *config.Farm, each func(config.Database) error) error {
	some := false
	err := farm.Databases(func(d config.Database) error {
		some = true
		return each(d)
	})
	if err == nil && !some {
		_, err = fmt.Fprintln(w, "nothing to migrate: no backend is of kind sqlite or postgres")
	}
	return err
}

func printStatus(ctx context.Context, w io.Writer, d config.Database) error {
	st, err := d.Status(ctx)
	if err != nil {
		return err
	}
	fits := "up to date"
	switch {
	case st.Format == 0:
		fits = "new"
	case st.Oldest > st.Newest:
		fits = "needs a newer program"
	case st.Format < st.Newest:
		fits = fmt.Sprintf("%d migrations pending", st.Newest-st.Format)
	}
	_, err = fmt.Fprintf(w, "%s: format %d, this program %d: %s\n", d.Name, st.Format, st.Newest, fits)
	return err
}

// printMigrations prints those of every kind of database that the farm has.
func (e *env) printMigrations(c *cobra.Command, _ []string) error {
	farm, err := e.farm(true)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	return eachDatabase(c.OutOrStdout(), farm, func(d config.Database) error {
		if seen[d.Kind] {
			return nil
		}
		seen[d.Kind] = true
		for _, m := range d.Migrations() {
			if _, err := fmt.Fprintf(c.OutOrStdout(), "-- %s, to format %d\n%s\n", d.Kind, m.Format, strings.TrimSpace(m.SQL)); err != nil {
				return err
			}
		}
		return nil
	})
}
