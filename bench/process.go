package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// command is the process for a task.
func (b *bench) command(ctx context.Context, t sample.Task) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if t.System == "riversqlite" {
		program = filepath.Join(filepath.Dir(program), "bench-riversqlite")
	}
	in, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), worker+"=1")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	return cmd, nil
}

// measured does a task in a process of its own.
func (b *bench) measured(ctx context.Context, t sample.Task) (sample.Sample, error) {
	var s sample.Sample
	cmd, err := b.command(ctx, t)
	if err != nil {
		return s, err
	}
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		return s, fmt.Errorf("%s %s %s: %w", t.System, t.Store, t.Do, err)
	}
	if s.Err != "" {
		return s, fmt.Errorf("%s %s %s: %s", t.System, t.Store, t.Do, s.Err)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.PeakMiB = float64(u.Maxrss) / 1024
	}
	return s, nil
}
