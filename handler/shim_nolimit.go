//go:build openbsd || solaris || aix

package handler

import "syscall"

func underLimit(uint64, func() error) error { return syscall.ENOTSUP }
