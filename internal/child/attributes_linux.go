package child

import "syscall"

// attributes makes a process run as its owner, and end with the thread that starts it.
func attributes(owner *syscall.Credential, last syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: last}
}
