package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queuememory"
)

func (e *env) configure() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check the farm file, or make one",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown argument %q of config, it must be check or import", args[0])
			}
			return usagef("config what? It must be check or import")
		},
		Run: func(*cobra.Command, []string) {},
	}
	c.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "Print every mistake in the farm file, or ok",
		Long: `Print every mistake in the farm file of --config, each with its line and what would be
right, and end with status 2; or print ok. Types of the program that no group runs
although their jobs are stored are a mistake, too, and so are files with passwords, tokens, keys and certificates that
cannot be read, and domains of sections that are not in the domains file.
No backend is opened.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if e.config == "" {
				return usagef("give --config FILE, the farm file to check")
			}
			farm, err := e.farm(false)
			if err != nil {
				return err
			}
			reg := &jobqueue.Registry{}
			if e.app.Register != nil {
				if err := e.app.Register(reg, jobqueue.NewGroup("check", jobqueue.Routes{Default: queuememory.New()})); err != nil {
					return fmt.Errorf("register the job types: %w", err)
				}
			}
			if err := errors.Join(e.uncovered(farm, reg.Types()), neverInline(farm, reg), farm.AddHandlers(reg), farm.Check()); err != nil {
				return &statusError{exitUsage, err}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "ok")
			return err
		},
	})
	c.AddCommand(importing())
	return c
}

// neverInline returns an error for the types of the program that never run where they are pushed and yet are not stored.
func neverInline(farm *config.Farm, reg *jobqueue.Registry) error {
	return farm.NeverInline(slices.DeleteFunc(reg.Types(), func(typ string) bool { return !reg.Policy(typ).NeverInline })...)
}

// uncovered returns an error for the types of the program that no group of the farm runs, though their jobs are stored.
func (e *env) uncovered(farm *config.Farm, types []string) error {
	types = slices.DeleteFunc(types, func(typ string) bool {
		return farm.Runs(typ) || farm.Excludes(typ) || farm.Async(typ) == config.NotAsync
	})
	if len(types) == 0 {
		return nil
	}
	slices.Sort(types)
	return usagef("%s: no group runs these types of the program, add them to the include of one: %s", e.config, some(types))
}

// maxImport bounds a file to import, in bytes.
const maxImport = 1 << 20

func importing() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Print a farm file made of the configuration of a jobrunner service",
		Long: `Print a farm file made of a configuration of Wikimedia's jobrunner service, and on
standard error a line for everything that could not be carried over.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("import which file? Give its path, such as jobrunner.json")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return &statusError{exitUsage, err}
			}
			defer f.Close()
			text, err := io.ReadAll(io.LimitReader(f, maxImport+1))
			if err != nil {
				return &statusError{exitUsage, err}
			}
			if len(text) > maxImport {
				return usagef("%s: it is over %d bytes", args[0], maxImport)
			}
			made, err := config.ImportJobrunner(text)
			if err != nil {
				return usagef("%s: %w", args[0], err)
			}
			for _, note := range made.Notes {
				fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", c.Root().Name(), escape(note))
			}
			_, err = io.WriteString(c.OutOrStdout(), made.File)
			return err
		},
	}
}
