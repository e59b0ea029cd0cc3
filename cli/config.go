package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
)

func (e *env) configure() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check the farm file",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown argument %q of config, it must be check", args[0])
			}
			return usagef("config what? It must be check")
		},
		Run: func(*cobra.Command, []string) {},
	}
	c.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "Print every mistake in the farm file, or ok",
		Long: `Print every mistake in the farm file of --config, each with its line and what would be
right, and end with status 2; or print ok. No backend is opened.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if e.config == "" {
				return usagef("give --config FILE, the farm file to check")
			}
			farm, err := e.farm(false)
			if err != nil {
				return err
			}
			if err := farm.AddHandlers(&jobqueue.Registry{}); err != nil {
				return &statusError{exitUsage, err}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "ok")
			return err
		},
	})
	return c
}
