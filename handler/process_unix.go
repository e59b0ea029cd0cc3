//go:build unix

package handler

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
)

// launch starts the program under a shim, with these standard files.
func (p *process) launch(path string, prog *Program, env []string, std [3]*os.File, files *pipes) error {
	var lifeline, status *os.File
	theirLifeline := files.to(&lifeline)
	theirStatus := files.from(&status)
	if files.err != nil {
		return files.err
	}
	self, err := executable()
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{
		Path:       self,
		Args:       append([]string{shimName, strconv.FormatInt(prog.Memory, 10), path}, prog.Argv...),
		Env:        env,
		Stdin:      std[0],
		Stderr:     std[2],
		ExtraFiles: []*os.File{theirLifeline, theirStatus},
		// A session of its own: what the terminal sends is for the runner.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if std[1] != nil {
		cmd.Stdout = std[1]
	}
	if err := cmd.Start(); err != nil {
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		return fmt.Errorf("start a process: %w", err)
	}
	files.closeTheirs() // so that the end of the shim is seen
	p.end = func() { lifeline.Close() }
	p.kill = func() { cmd.Process.Kill() }
	go func() {
		lines := bufio.NewScanner(status)
		begun, answered := false, false
		for lines.Scan() {
			word, n := "", 0
			fmt.Sscan(lines.Text(), &word, &n)
			switch {
			case word == "start":
				begun = true
			case word == "pid":
				p.pid.Store(int64(n))
			case !answered:
				answered = true
				p.err = howItEnded(word, n, prog.Argv[0])
				close(p.ended)
			}
		}
		status.Close()
		lifeline.Close()
		err := cmd.Wait()
		if !answered {
			p.err = fmt.Errorf("the process that looked after the program ended: %w", cmp.Or(err, errNoStatus))
			if !begun {
				p.err = &startError{prog.Argv[0], p.err}
			}
			close(p.ended)
		}
		close(p.gone)
	}()
	return nil
}

var errNoStatus = errors.New("how the program ended is not known")

// howItEnded reads a line of the shim.
func howItEnded(word string, n int, program string) error {
	switch {
	case word == "exec":
		return &startError{program, syscall.Errno(n)}
	case word == "signal":
		return fmt.Errorf("killed by signal: %v", syscall.Signal(n))
	case n != 0:
		return exitStatus(n)
	}
	return nil
}

// executable returns the file of this process, even if another one is in its place by now.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}
