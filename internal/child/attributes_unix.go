//go:build unix && !linux

package child

import "syscall"

// attributes makes a process run as its owner.
func attributes(owner *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}
