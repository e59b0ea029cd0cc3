package daemon

import (
	"crypto/sha256"
	"os"
	"time"
)

// fileTime is the time between two looks at files: what was not written to since the last one is complete.
const fileTime = 250 * time.Millisecond

// files are what is known of Options.Files.
type files struct {
	stamps []stamp // at the last look
	sums   [][32]byte
	fresh  bool // one has changed since it was read
}

// A stamp changes when somebody writes to a file.
type stamp struct {
	info os.FileInfo
	size int64
	time time.Time
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info, info.Size(), info.ModTime()}
}

// same reports whether s and t are of the same file that nobody has written to in between.
func (s stamp) same(t stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == t.info
	}
	return s.size == t.size && s.time.Equal(t.time) && os.SameFile(s.info, t.info)
}

// noteFiles takes the files as they are for read.
func (d *daemon) noteFiles() {
	f := &d.files
	f.stamps, f.sums = make([]stamp, len(d.Files)), make([][32]byte, len(d.Files))
	for i, path := range d.Files {
		f.stamps[i], f.sums[i] = stampOf(path), sumOf(path)
	}
}

// filesChanged reports whether a file is another one than when it was read, and complete.
func (d *daemon) filesChanged() bool {
	f := &d.files
	still := true
	for i, path := range d.Files {
		if now := stampOf(path); !now.same(f.stamps[i]) {
			f.stamps[i], f.fresh, still = now, true, false
		}
	}
	if !f.fresh || !still {
		return false
	}
	f.fresh = false
	changed := false
	for i, path := range d.Files {
		if now := sumOf(path); now != f.sums[i] {
			f.sums[i], changed = now, true
		}
	}
	return changed
}

// sumOf returns what tells the contents of a file apart; none is like an empty one.
func sumOf(path string) [32]byte {
	text, _ := os.ReadFile(path)
	return sha256.Sum256(text)
}
