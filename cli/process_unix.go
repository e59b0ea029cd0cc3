//go:build unix

package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// finishSignal has runjobs finish what runs, however long that takes, and end.
var finishSignal os.Signal = syscall.SIGUSR1

// killGroup kills this process and its process group, if that is its own.
func killGroup() {
	if pid := os.Getpid(); syscall.Getpgrp() == pid {
		syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// beNamed has lists of processes name this one, which was started by a link to its program, as it should be. Only Linux has such links.
func beNamed(name string) { _ = os.WriteFile("/proc/self/comm", []byte(name), 0) }

// execSelf replaces this process by a program, with the same arguments.
func execSelf(path string) error {
	return fmt.Errorf("start %s anew: %w", path, syscall.Exec(path, os.Args, os.Environ()))
}

// lockPID writes the number of this process to a file, unless another process has it that lives. The file is
// removed by what is returned, or taken over by the next when this one could not.
func lockPID(path string) (unlock func(), err error) {
	if dir := filepath.Dir(path); !isDir(dir) {
		return nil, fmt.Errorf("pid file %s: there is no directory %s", path, dir)
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("pid file: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
			text, _ := os.ReadFile(path)
			f.Close()
			return nil, fmt.Errorf("pid file %s: already running pid %s", path, strings.TrimSpace(string(text)))
		} else if err != nil {
			f.Close()
			return nil, fmt.Errorf("pid file %s: lock: %w", path, err)
		}
		// Whoever had it may have removed it meanwhile.
		if !isFile(f, path) {
			f.Close()
			continue
		}
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("pid file: %w", err)
		}
		return func() {
			os.Remove(path)
			f.Close()
		}, nil
	}
}

// isFile reports whether an open file is the one that has a path.
func isFile(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(open, there)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
