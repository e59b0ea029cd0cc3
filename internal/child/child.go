//go:build unix

// Package child runs servers that tests start, kill and start again.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Patience is how long a server may take to begin and to end.
const Patience = 60 * time.Second

// A Process is a server that ends with this process.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	said  bytes.Buffer // on its standard output and error; to be read once it has ended
}

// Start starts a server as the user owner, or as this process's own if that is nil. It returns once ready does
// without an error. The server gets the signal last if this process ends.
func Start(cmd *exec.Cmd, owner *syscall.Credential, last syscall.Signal, ready func(context.Context) error) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	cmd.SysProcAttr = attributes(owner, last)
	cmd.Stdout, cmd.Stderr = &p.said, &p.said
	started := make(chan error)
	go func() {
		// The server gets its last signal when the thread that started it ends, so this one stays.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, p.wait(ready)
}

// wait returns when the server is ready, and ends one that does not get there.
func (p *Process) wait(ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("%s has ended:\n%s", p.name(), p.said.String())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not start: %w", p.name(), err), p.End(syscall.SIGKILL))
		}
	}
}

func (p *Process) name() string { return filepath.Base(p.cmd.Path) }

// Signal sends a signal to the server; one that has ended already is none's concern.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// End sends a signal that ends the server, and returns when it has ended.
func (p *Process) End(s syscall.Signal) error {
	if err := p.Signal(s); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(Patience):
		return fmt.Errorf("%s does not end", p.name())
	}
}
