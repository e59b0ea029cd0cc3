//go:build linux

package chaos_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
)

// orderVar has what a process of the suite is to do.
const orderVar = "CHAOS_ORDER"

func TestMain(m *testing.M) {
	if text := os.Getenv(orderVar); text != "" {
		if err := obey(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Unsetenv(pgtest.Environment) // A server of others must not be killed.
	os.Exit(m.Run())
}

// An order is what a process is to do.
type order struct {
	worker
	Keep  kept
	Dir   string        // of the log
	Shift time.Duration // of the stores' clocks by now
}

// obey does what an order says until standard input ends.
func obey(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	log, err := newJournal(o.Dir, o.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &recorder{log: log}
	w := &clockwork{shift: o.Shift}
	go func() {
		listen(os.Stdin, r, w)
		cancel()
	}()
	if r.store, err = o.Keep.open(ctx, w); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return o.do(ctx, r)
}

// listen does what the process is told: "hold" lets calls end that are under way, and holds all others until "shift", which
// moves the clock.
func listen(in io.Reader, r *recorder, w *clockwork) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		word, arg, _ := strings.Cut(lines.Text(), " ")
		if word == "hold" {
			r.gate.Lock()
		} else if d, err := time.ParseDuration(arg); err == nil {
			w.move(d)
			r.gate.Unlock()
		}
		fmt.Println(word)
	}
}

// A process is a worker as its parent sees it.
type process struct {
	order
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan string
	stderr  bytes.Buffer
	ended   chan struct{}
	err     error // once it has ended
}

// spawn starts a process, which ends with this one.
func spawn(o order) (*process, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	p := &process{order: o, cmd: exec.Command(os.Args[0]), answers: make(chan string, 10), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), orderVar+"="+string(text), "GOMAXPROCS=2")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begun := make(chan error)
	go func() {
		runtime.LockOSThread() // It ends with the thread that started it.
		err := p.cmd.Start()
		begun <- err
		if err != nil {
			return
		}
		for s := bufio.NewScanner(out); s.Scan(); {
			p.answers <- s.Text()
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, <-begun
}

// tell sends a line and waits for its answer.
func (p *process) tell(ctx context.Context, line string) error {
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	select {
	case <-p.answers:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s has ended: %v\n%s", p.Name, p.err, p.stderr.String())
	case <-ctx.Done():
		return fmt.Errorf("%s does not answer %q: %w", p.Name, line, context.Cause(ctx))
	}
}

// kill ends the process at once.
func (p *process) kill() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s had ended by itself: %v\n%s", p.Name, p.err, p.stderr.String())
	default:
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// stop ends the process gracefully.
func (p *process) stop(ctx context.Context) error {
	p.in.Close()
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("%s: %w\n%s", p.Name, p.err, p.stderr.String())
		}
		return nil
	case <-ctx.Done():
		p.cmd.Process.Signal(syscall.SIGQUIT)
		<-p.ended
		return fmt.Errorf("%s does not end: %w\n%s", p.Name, context.Cause(ctx), p.stderr.String())
	}
}
