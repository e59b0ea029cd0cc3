//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sqlite_test

import (
	"os"
	"syscall"
	"testing"
)

// A process that is stopped while it holds the turn holds up nobody for long.
func TestTurnOfAStoppedProcess(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	f, err := os.OpenFile(path+"-turn", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	push(t, b, records(1)...)
	if c := counts(t, b); c.Ready != 1 {
		t.Errorf("Counts = %+v, want one job", c)
	}
}
