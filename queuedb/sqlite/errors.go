package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"

	"github.com/wikifarm/jobqueue"
)

// Result codes of SQLite that a caller can do something about.
const (
	codeError    = 1 // a table or a column that is not there
	codePerm     = 3
	codeBusy     = 5
	codeLocked   = 6
	codeNoMemory = 7
	codeReadOnly = 8
	codeIO       = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool {
	c := code(err)
	return c == codeBusy || c == codeLocked
}

// classify says what an error of SQLite means for a caller.
func classify(path string, err error) error {
	if err == nil {
		return nil
	}
	switch code(err) {
	case codeBusy, codeLocked:
		return fmt.Errorf("%w: %s is in use by another process", jobqueue.ErrUnavailable, path)
	case codeFull:
		return fmt.Errorf("%w: no room left for %s", jobqueue.ErrUnavailable, path)
	case codeIO, codeNoMemory:
		return fmt.Errorf("%w: %s: %w", jobqueue.ErrUnavailable, path, err)
	case codeCantOpen, codePerm:
		return fmt.Errorf("%w: %s cannot be opened; its directory must exist and be writable", jobqueue.ErrUnavailable, path)
	case codeReadOnly:
		return fmt.Errorf("%w: %s cannot be written to", jobqueue.ErrReadOnly, path)
	case codeCorrupt, codeError:
		return fmt.Errorf("%w: %s is damaged: %w", jobqueue.ErrInvalid, path, err)
	case codeNotADB:
		return fmt.Errorf("%w: %s is not an SQLite file", jobqueue.ErrInvalid, path)
	case 0:
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
