package cli

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// releaseTime is between two looks at the release file.
const releaseTime = time.Second

// sameRelease reports whether a file is the same one as before, and was not written to; nil is none.
func sameRelease(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// watchRelease calls changed once a file is another one than now, or was written to, and nobody is about to write
// more; if there is none now, once there is one. While there is none nothing is said of it: it may be about to be replaced.
func watchRelease(path string, changed func()) (stop func(), err error) {
	first, err := os.Stat(path) // nil if there is none
	if err == nil && !first.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("--release-file %s: %w", path, bare(err))
	}
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(releaseTime)
		defer tick.Stop()
		for last := first; ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			now, err := os.Stat(path)
			if err != nil || !now.Mode().IsRegular() {
				continue
			}
			if !sameRelease(now, first) && sameRelease(now, last) {
				changed()
				return
			}
			last = now
		}
	}()
	return func() { close(done) }, nil
}

// bare returns what went wrong, without the name of the file.
func bare(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
