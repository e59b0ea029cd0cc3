//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sqlite

import (
	"os"
	"syscall"
)

// A turn is a place at the head of the line of processes that want to write,
// kept as a lock on a file of its own. SQLite's lock alone would go to
// whoever asks at the right moment, which is mostly the one that has just let go.
// Nothing but fairness depends on it.
type turn struct {
	file *os.File // nil where there can be none
	held bool
}

func openTurn(path string) *turn {
	f, err := os.OpenFile(path+"-turn", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return &turn{}
	}
	return &turn{file: f}
}

// take reports whether this process may try to write.
func (t *turn) take() bool {
	if t.file == nil || t.held {
		return true
	}
	err := syscall.Flock(int(t.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	t.held = err == nil
	return err != syscall.EWOULDBLOCK && err != syscall.EINTR
}

func (t *turn) give() {
	if t.held {
		syscall.Flock(int(t.file.Fd()), syscall.LOCK_UN)
		t.held = false
	}
}

func (t *turn) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
