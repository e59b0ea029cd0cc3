//go:build unix && !linux && !openbsd && !solaris && !aix

package handler

import "syscall"

func limitMemory(bytes uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &l); err != nil {
		return err
	}
	set(&l.Cur, bytes)
	set(&l.Max, bytes)
	return syscall.Setrlimit(syscall.RLIMIT_AS, &l)
}

// set sets a limit, whose type is another one on each system.
func set[T int64 | uint64](field *T, n uint64) { *field = T(n) }
