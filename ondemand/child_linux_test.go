package ondemand_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// How the test binary is told to be the process of a run.
const (
	childStore = "ONDEMAND_TEST_STORE"
	childDoes  = "ONDEMAND_TEST_DOES"
)

var childRules = lease.Rules{Interval: 100 * time.Millisecond, TTL: 2 * time.Second}

func init() {
	if path := os.Getenv(childStore); path != "" {
		if err := child(path, os.Args[len(os.Args)-1]); err != nil {
			os.WriteFile(path+".error", []byte(err.Error()), 0o600)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// A told is what a process tells of itself.
type told struct {
	PID, Session int
	Token        int64
	Args, Env    []string
	Files        []string // without the store's and those of the Go runtime
}

func child(path, domain string) error {
	store, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	r := ondemand.New(ondemand.Options{Leases: &lease.Store{Control: store, Rules: childRules}, Work: []ondemand.Work{{Name: "told", Do: func(ctx context.Context, _ string) (int, error) {
		// Who tells may be killed at once, and was the first by then.
		hang := os.Getenv(childDoes) == "hang once" && os.Mkdir(path+".first", 0o700) == nil
		if err := tell(ctx, path); err != nil {
			return 0, err
		}
		if hang {
			select {}
		}
		return 1, nil
	}}}})
	_, _, err = r.Once(context.Background(), domain, ondemand.Once{})
	return errors.Join(err, r.Close(context.Background()))
}

// tell appends a line to what is told.
func tell(ctx context.Context, path string) error {
	token, _ := lease.Token(ctx)
	session, _, errno := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	me := told{PID: os.Getpid(), Session: int(session), Token: token, Args: os.Args[1:], Env: os.Environ()}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && !strings.HasPrefix(to, path) && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "/sys/") {
			me.Files = append(me.Files, fd.Name()+" "+to)
		}
	}
	line, err := json.Marshal(me)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".told", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(line, '\n'))
	return err
}

// within waits for a condition that is expected soon.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		syscall.Nanosleep(&syscall.Timespec{Nsec: 5e6}, nil)
	}
}

// children returns the states of the processes that this one has started and not waited for.
func children(t *testing.T) (all []string) {
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		pids, _ := os.ReadFile(task) // a thread may have ended
		for _, pid := range strings.Fields(string(pids)) {
			if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
				all = append(all, string(stat))
			}
		}
	}
	return all
}
