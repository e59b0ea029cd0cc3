//go:build !unix

package cli

import (
	"errors"
	"fmt"
	"os"
)

// finishSignal is none: there is no such signal.
var finishSignal os.Signal

// killGroup does nothing: there are no process groups.
func killGroup() {}

// beNamed does nothing.
func beNamed(string) {}

func execSelf(path string) error { return fmt.Errorf("start %s anew: %w", path, errors.ErrUnsupported) }

func lockPID(string) (func(), error) {
	return nil, fmt.Errorf("pid file on this system: %w", errors.ErrUnsupported)
}
