//go:build unix && !linux && !openbsd && !solaris && !aix

package handler

import "syscall"

// underLimit calls f with at most so many bytes of address space.
func underLimit(bytes uint64, f func() error) error {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &old); err != nil {
		return err
	}
	limit := old
	set(&limit.Cur, bytes)
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return err
	}
	err := f()
	syscall.Setrlimit(syscall.RLIMIT_AS, &old)
	return err
}

// set sets a limit, whose type is another one on each system.
func set[T int64 | uint64](field *T, n uint64) { *field = T(n) }
