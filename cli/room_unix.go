//go:build linux || darwin

package cli

import "syscall"

// freeBytes returns how much room the disk of a directory has, if that can be told.
func freeBytes(dir string) (uint64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true
}
