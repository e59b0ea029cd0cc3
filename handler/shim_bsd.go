//go:build unix && !linux

package handler

import (
	"syscall"
	"time"
)

func adoptOrphans() {}

func groupAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// descendants are not known here.
func descendants() []int { return nil }

func groupOf(int) int { return 0 }

// outlive waits until the process group is empty: what its program left behind is not this process's to reap.
func (s *shim) outlive() {
	go s.endAll()
	for syscall.Kill(-s.pid, 0) == nil {
		time.Sleep(10 * time.Millisecond)
	}
}

func memoryOf(int64) int64 { return 0 }
