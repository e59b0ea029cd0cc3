package cli

import (
	"io"
	"os"
)

// handOver returns a pipe that holds data, for another process; it is closed here once that has it.
func handOver(data []byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		// Whoever it is for may have ended.
		_, _ = w.Write(data)
		w.Close()
	}()
	return r, nil
}

// inherited returns the last good farm, as the supervisor saved it, once; nil without one.
func (e *env) inherited() []byte {
	if e.handed == 0 {
		return nil
	}
	// What the jobs start inherits it no more.
	f := os.NewFile(uintptr(e.handed), "last good farm")
	e.handed = 0
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil
	}
	return data
}
