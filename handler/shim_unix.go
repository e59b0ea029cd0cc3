//go:build unix

package handler

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The names under which the executable of a runner is started to look after a program.
const (
	shimName  = "jobqueue-shim"
	limitName = "jobqueue-limit"
)

// The files of a shim, besides the standard ones of its program.
const (
	shimLifeline = 3 // a pipe that the runner holds and never writes to; its end is the program's
	shimStatus   = 4 // where it tells how things go
	limitStatus  = 3
)

func init() {
	if len(os.Args) < 4 {
		return
	}
	// Not os.Exit, which has a process that was built to look for races wait for a second.
	switch os.Args[0] {
	case shimName:
		(&shim{limit: os.Args[1], path: os.Args[2], argv: os.Args[3:]}).run()
		syscall.Exit(0)
	case limitName:
		limit(os.Args[1], os.Args[2], os.Args[3:])
		syscall.Exit(1)
	}
}

// A shim starts one program, reaps it and what it leaves behind, and has all of it end when
// the program has ended, when the runner says so, and when the runner is no more.
type shim struct {
	limit string
	path  string
	argv  []string
	pid   int
	end   sync.Once
}

func (s *shim) run() {
	// The program is killed when the thread that started it ends; so that is this one.
	runtime.LockOSThread()
	syscall.CloseOnExec(shimLifeline)
	syscall.CloseOnExec(shimStatus)
	adoptOrphans()
	// Ignoring these instead would have the program ignore them.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	tell(shimStatus, "start", 0) // from here on whatever happens may be the program's doing
	if err := s.start(); err != nil {
		tell(shimStatus, "exec", errno(err))
		return
	}
	for fd := range 3 {
		syscall.Close(fd)
	}
	tell(shimStatus, "pid", s.pid)
	go func() {
		<-signals
		s.endAll()
	}()
	go func() {
		syscall.Read(shimLifeline, make([]byte, 1))
		s.endAll()
	}()
	s.reap()
}

func (s *shim) start() (err error) {
	files := []uintptr{0, 1, 2}
	path, argv := s.path, s.argv
	if s.limit != "0" {
		self, err := executable()
		if err != nil {
			return err
		}
		path, argv = self, append([]string{limitName, s.limit, s.path}, argv...)
		files = append(files, shimStatus)
	}
	s.pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: os.Environ(), Files: files, Sys: groupAttr()})
	return err
}

// reap waits until all processes have ended, and tells of the program when it has.
func (s *shim) reap() {
	for flags := 0; ; {
		var ws syscall.WaitStatus
		switch pid, err := syscall.Wait4(-1, &ws, flags, nil); {
		case err == syscall.EINTR:
		case err != nil:
			s.outlive()
			return
		case pid == 0: // the program has ended, others have not
			flags = 0
			go s.endAll()
		case pid != s.pid || !ws.Exited() && !ws.Signaled():
		case ws.Signaled():
			tell(shimStatus, "signal", int(ws.Signal()))
			flags = syscall.WNOHANG
		default:
			tell(shimStatus, "exit", ws.ExitStatus())
			flags = syscall.WNOHANG
		}
	}
}

// endAll asks all processes to end, and kills those that have not after a while.
func (s *shim) endAll() {
	s.end.Do(func() {
		told := map[int]bool{}
		for late := time.Now().Add(endGrace); time.Now().Before(late); time.Sleep(50 * time.Millisecond) {
			s.ask(told)
		}
		for {
			syscall.Kill(-s.pid, syscall.SIGKILL)
			for _, pid := range descendants() {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			time.Sleep(10 * time.Millisecond) // for those that were being started
		}
	})
}

// ask tells those processes to end that have not been told, and may have been started since.
func (s *shim) ask(told map[int]bool) {
	first := len(told) == 0
	if first {
		syscall.Kill(-s.pid, syscall.SIGTERM)
		told[s.pid] = true
	}
	for _, pid := range descendants() {
		if !told[pid] {
			told[pid] = true
			if !first || groupOf(pid) != s.pid {
				syscall.Kill(pid, syscall.SIGTERM)
			}
		}
	}
}

// limit limits the memory of this process and becomes the program.
func limit(bytes, path string, argv []string) {
	syscall.CloseOnExec(limitStatus)
	n, err := strconv.ParseUint(bytes, 10, 63)
	env := os.Environ()
	// The limit may be less than this process has, which until it is the program must not ask for more.
	debug.SetGCPercent(-1)
	if err == nil {
		err = underLimit(n, func() error { return syscall.Exec(path, argv, env) })
	}
	tell(limitStatus, "exec", errno(err))
}

func errno(err error) int {
	if e, ok := err.(syscall.Errno); ok {
		return int(e)
	}
	return int(syscall.EINVAL)
}

func tell(fd int, word string, n int) { syscall.Write(fd, fmt.Appendf(nil, "%s %d\n", word, n)) }
