package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// The test binary is also the program that the tests below run several times.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("JOBQUEUE_TEST_CHILD") {
	case "drain":
		err = drain(os.Getenv("JOBQUEUE_TEST_FILE"))
	case "share":
		err = share(os.Getenv("JOBQUEUE_TEST_FILE"))
	case "commands":
		os.Exit(commands())
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// child starts the test binary as another program.
func child(t testing.TB, what, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := command(t, what, path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

func command(t testing.TB, what, path string) *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "JOBQUEUE_TEST_CHILD="+what, "JOBQUEUE_TEST_FILE="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// drain runs jobs until none is ready, and prints each before and after it is settled.
func drain(path string) error {
	ctx := context.Background()
	b, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	defer b.Close()
	for {
		l := jobqueue.Lease{Token: uuid.New(), TTL: lease, Owner: strconv.Itoa(os.Getpid())}
		cs, err := b.Pop(ctx, l, jobqueue.Want{Name: queue, Max: 7})
		if err != nil || len(cs) == 0 {
			return err
		}
		for _, c := range cs {
			fmt.Println("run", c.ID)
			if lost, err := b.Settle(ctx, outcomes(jobqueue.ActionDone, c)...); err != nil || len(lost) > 0 {
				return fmt.Errorf("settle lost %v: %w", lost, err)
			}
			fmt.Println("done", c.ID)
		}
	}
}

const lease = 3 * time.Second

// TestKill kills a process in mid-drain: no job is lost, and none that was settled runs again.
func TestKill(t *testing.T) {
	const jobs = 300
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(jobs)...)
	done := map[string]bool{}
	started := map[string]int{}
	for kill := range 3 {
		cmd, lines := child(t, "drain", path)
		stop := len(started) + 40
		for lines.Scan() {
			what, id, _ := strings.Cut(lines.Text(), " ")
			switch what {
			case "run":
				if started[id]++; done[id] {
					t.Errorf("job %s runs again after it was settled", id)
				}
			case "done":
				done[id] = true
			default:
				t.Fatal(lines.Text())
			}
			if len(started) == stop {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd.Wait()
		if len(started) < stop {
			t.Fatalf("drain %d ended after %d jobs", kill, len(started))
		}
		// What it held comes back when its lease has ended.
		for range 9 {
			b.Shift(lease / 4)
			if _, err := b.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if c := counts(t, b); c.Claimed != 0 || c.Ready < jobs-len(started) {
			t.Errorf("Counts = %+v after kill %d", c, kill)
		}
	}
	for cs := pop(t, b, 100); len(cs) > 0; cs = pop(t, b, 100) {
		for _, c := range cs {
			if started[c.ID]++; done[c.ID] {
				t.Errorf("job %s runs again after it was settled", c.ID)
			}
		}
		settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
	}
	if len(started) != jobs {
		t.Errorf("%d jobs ran, want %d", len(started), jobs)
	}
	if c := counts(t, b); c.Total() != 0 {
		t.Errorf("Counts = %+v, want none", c)
	}
}

// share pushes, claims, extends and settles for a while beside others, and prints how much it did and its longest wait.
func share(path string) error {
	ctx := context.Background()
	b, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	defer b.Close()
	span := 2 * time.Second
	if s, err := time.ParseDuration(os.Getenv("SOAK")); err == nil {
		span = s
	}
	var waits []time.Duration
	round := make(chan struct{}) // one has begun; closed when there are no more
	beats := make(chan error, 1)
	go func() {
		var longest time.Duration
		var failed error
		for range round {
			at := time.Now()
			_, err := b.Extend(ctx, lease, uuid.New())
			longest, failed = max(longest, time.Since(at)), errors.Join(failed, err)
		}
		fmt.Println("beat", longest.Milliseconds())
		beats <- failed
	}()
	did := 0
	timed := func(call func() error) error {
		at := time.Now()
		err := call()
		waits = append(waits, time.Since(at))
		return err
	}
	for end := time.Now().Add(span); time.Now().Before(end); {
		select {
		case round <- struct{}{}:
		default: // the last beat has not been answered
		}
		var cs []*jobqueue.Claim
		if err := timed(func() error {
			_, err := b.Push(ctx, uuid.New(), records(100))
			return err
		}); err != nil {
			return err
		}
		if err := timed(func() (err error) {
			cs, err = b.Pop(ctx, jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, jobqueue.Want{Name: queue, Max: 100})
			return err
		}); err != nil {
			return err
		}
		if err := timed(func() error {
			lost, err := b.Settle(ctx, outcomes(jobqueue.ActionDone, cs...)...)
			if len(lost) > 0 {
				err = fmt.Errorf("lost %d claims: %w", len(lost), err)
			}
			return err
		}); err != nil {
			return err
		}
		did += len(cs)
	}
	close(round)
	if err := <-beats; err != nil {
		return err
	}
	fmt.Println("did", did)
	fmt.Println("wait", slices.Max(waits).Milliseconds())
	return nil
}

// TestShare lets four processes use one file: none sees an error and, which is
// looked at when SOAK is set, none waits for long and their shares are alike.
func TestShare(t *testing.T) {
	_, timed := os.LookupEnv("SOAK")
	path := newFile(t)
	b := openFile(t, path, nil)
	var lines []*bufio.Scanner
	for range 4 {
		_, out := child(t, "share", path)
		lines = append(lines, out)
	}
	var did []int
	for _, out := range lines {
		for out.Scan() {
			t.Log(out.Text())
			what, number, _ := strings.Cut(out.Text(), " ")
			n, err := strconv.Atoi(number)
			switch {
			case err != nil:
				t.Error(out.Text())
			case what == "did":
				did = append(did, n)
			case timed && n > 1000:
				t.Errorf("the longest %s took %d ms", what, n)
			}
		}
	}
	if len(did) != 4 || timed && slices.Max(did) > 2*slices.Min(did) {
		t.Errorf("the processes did %v jobs, want shares within a factor of 2", did)
	}
	if c := counts(t, b); c.Claimed != 0 || c.Abandoned != 0 {
		t.Errorf("Counts = %+v", c)
	}
}
