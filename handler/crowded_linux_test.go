package handler_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
)

const rlimitProcesses = 6 // RLIMIT_NPROC

// crowded runs a program as a user who may have no more processes.
func crowded() {
	// The runtime must need no new thread from then on.
	var begun, ended sync.WaitGroup
	gate := make(chan struct{})
	begun.Add(30)
	for range 30 {
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begun.Done()
			<-gate
		})
	}
	begun.Wait()
	close(gate)
	ended.Wait()
	if os.Geteuid() == 0 { // whom no limit holds
		if err := syscall.Setuid(54321); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := syscall.Setrlimit(rlimitProcesses, &syscall.Rlimit{}); err != nil {
		fmt.Println(err)
		return
	}
	err := handler.Exec("/bin/true")("mail").Run(jobqueue.NewContext(context.Background(), claim("{}")))
	fmt.Println(errors.Is(err, syscall.EAGAIN), errors.Is(err, jobqueue.ErrFault), err)
}

// Where no more processes may be started that is the handler's fault, not the job's.
func TestExecNoMoreProcesses(t *testing.T) {
	cmd := exec.Command(os.Args[0], "crowded")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "true true /bin/true: ") {
		t.Errorf("%s (%v), want EAGAIN as a fault", out, err)
	}
}
