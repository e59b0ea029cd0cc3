//go:build unix && !linux

package pgtest

import "syscall"

// attributes makes a process run as its owner.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}
