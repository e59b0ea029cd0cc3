//go:build openbsd || solaris || aix

package handler

import "syscall"

func limitMemory(uint64) error { return syscall.ENOTSUP }
