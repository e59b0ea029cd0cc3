//go:build unix

package cli_test

import (
	"os"

	"github.com/wikifarm/jobqueue"
)

// registerSlowly is that of a program that takes, once, until somebody writes to the pipe go.
func registerSlowly(*jobqueue.Registry, *jobqueue.Group) error {
	if _, err := os.Stat("go"); err != nil {
		return nil
	}
	if err := write("registers", "x"); err != nil {
		return err
	}
	if _, err := os.ReadFile("go"); err != nil {
		return err
	}
	return os.Remove("go")
}
