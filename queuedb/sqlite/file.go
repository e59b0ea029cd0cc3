package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

// checkEvery is how long a file may be gone before it is noticed.
const checkEvery = time.Second

// A file is the one that was opened. When it is removed or another one takes its
// place, its connections go on with what nobody else sees any more, so it is looked at now and then.
type file struct {
	path    string
	info    os.FileInfo
	checked atomic.Int64 // nanoseconds since 1970
}

func newFile(path string) (*file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, err)
	}
	return &file{path: path, info: info}, nil
}

// check returns an error if the file is not where it was.
func (f *file) check() error {
	now := time.Now().UnixNano()
	if d := now - f.checked.Load(); 0 <= d && d < int64(checkEvery) {
		return nil
	}
	switch info, err := os.Stat(f.path); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s has been removed; it must be opened anew", jobqueue.ErrUnavailable, f.path)
	case err == nil && !os.SameFile(info, f.info):
		return fmt.Errorf("%w: %s has been replaced by another file; it must be opened anew", jobqueue.ErrUnavailable, f.path)
	}
	f.checked.Store(now)
	return nil
}
