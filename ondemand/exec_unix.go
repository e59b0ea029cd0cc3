//go:build unix

package ondemand

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// detach gives a process a session of its own, and nothing of this one's files: what this process was itself given without
// having asked for it is marked, which changes nothing for what it hands on by [exec.Cmd].
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	names, err := os.ReadDir("/dev/fd")
	if err != nil {
		for fd := 3; fd < 256; fd++ {
			syscall.CloseOnExec(fd)
		}
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
