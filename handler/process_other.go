//go:build !unix

package handler

import (
	"errors"
	"os"
	"os/exec"
	"sync"
)

// launch starts the program by itself: there are no signals and no process groups.
func (p *process) launch(path string, prog *Program, env []string, std [3]*os.File, _ *pipes) error {
	if prog.Memory > 0 {
		return errors.New("there is no memory limit on this system")
	}
	cmd := &exec.Cmd{Path: path, Args: prog.Argv, Env: env, Stdin: std[0], Stderr: std[2]}
	if std[1] != nil {
		cmd.Stdout = std[1]
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.pid.Store(int64(cmd.Process.Pid))
	p.end = sync.OnceFunc(func() { cmd.Process.Kill() })
	p.kill = p.end
	go func() {
		err := cmd.Wait()
		if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() > 0 {
			err = exitStatus(e.ExitCode())
		}
		p.err = err
		close(p.ended)
		close(p.gone)
	}()
	return nil
}

func memoryOf(int64) int64 { return 0 }
