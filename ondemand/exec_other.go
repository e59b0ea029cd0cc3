//go:build !unix

package ondemand

import "os/exec"

// detach leaves a process as it is: it goes on when this one ends, and has none of its files.
func detach(*exec.Cmd) {}
