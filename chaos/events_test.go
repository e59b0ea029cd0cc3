//go:build linux

package chaos_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/wikifarm/jobqueue"
)

// now returns the time in microseconds by a clock that all processes of the machine share and nobody sets.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano() / 1000
}

// A kind says what an event is about.
type kind string

// What is announced by the first of a pair is a call that may have taken effect, unless the second says how it went.
const (
	pushing  kind = "pushing"
	pushed   kind = "pushed"
	popping  kind = "popping"
	popped   kind = "popped"
	settling kind = "settling"
	settled  kind = "settled"
	extended kind = "extended" // a call that was answered
	started  kind = "started"  // a run
	other    kind = "other"    // any other call that has ended
	fault    kind = "fault"
)

// An event is one line of a log.
type event struct {
	Kind   kind   `json:"k"`
	By     string `json:"by"` // a process, and which of that name
	Begin  int64  `json:"t0"` // before the call
	End    int64  `json:"t1,omitempty"`
	Err    string `json:"err,omitempty"`
	What   string `json:"what,omitempty"`   // other: the call; fault: which
	Target string `json:"target,omitempty"` // fault: of what

	ID    string `json:"id,omitempty"`    // push: its id; started: the job
	Token string `json:"token,omitempty"` // pop: of the call; started: of the claim
	TTL   int64  `json:"ttl,omitempty"`   // microseconds

	Jobs     []jobEvent     `json:"jobs,omitempty"`     // push
	Claims   []claimEvent   `json:"claims,omitempty"`   // popped
	Outcomes []outcomeEvent `json:"outcomes,omitempty"` // settle
	Tokens   []tokenEvent   `json:"tokens,omitempty"`   // extended
}

// A jobEvent is a job in a push, and what became of it.
type jobEvent struct {
	Number string `json:"n"`           // its own
	Queue  string `json:"q"`           // domain and type
	Digest string `json:"d,omitempty"` // with its queue
	Root   string `json:"r,omitempty"` // with its queue
	At     int64  `json:"at,omitempty"`
	ID     string `json:"id,omitempty"`
	Dup    bool   `json:"dup,omitempty"`
}

// A claimEvent is a job handed out.
type claimEvent struct {
	ID         string `json:"id"`
	Number     string `json:"n"`
	Token      string `json:"token"`
	Expires    int64  `json:"x"`
	Fresh      bool   `json:"new,omitempty"` // it was never claimed before, as far as the store knows
	Superseded bool   `json:"old,omitempty"`
	Queue      string `json:"q"`
	Root       string `json:"r,omitempty"`
	At         int64  `json:"at,omitempty"`
}

// An outcomeEvent settles a claim.
type outcomeEvent struct {
	ID    string          `json:"id"`
	Token string          `json:"token"`
	Do    jobqueue.Action `json:"do"`
	Lost  bool            `json:"lost,omitempty"`
	Open  bool            `json:"open,omitempty"` // nobody knows
}

// A tokenEvent is what became of a lease that was to be extended.
type tokenEvent struct {
	Token string `json:"token"`
	Lost  bool   `json:"lost,omitempty"`
	Open  bool   `json:"open,omitempty"`
}

// A journal is one process's own part of the log. What is written is there even if the process is killed right after.
type journal struct {
	by string
	mu sync.Mutex
	f  *os.File
}

func newJournal(dir, by string) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, by+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &journal{by: by, f: f}, err
}

// add writes an event, and ends the process if it cannot: what is not in the log must not happen.
func (j *journal) add(e event) {
	e.By = j.by
	line, err := json.Marshal(e)
	if err == nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		_, err = j.f.Write(append(line, '\n'))
	}
	if err != nil {
		panic(fmt.Sprintf("log of %s: %v", j.by, err))
	}
}

// readLog returns what all processes have written, by the time when it was over.
func readLog(dir string) (all []event, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		data = data[:bytes.LastIndexByte(data, '\n')+1] // It may have been killed within a line.
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, len(data)+1)
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return nil, fmt.Errorf("%s: %w in %s", p, err, lines.Text())
			}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(max(a.Begin, a.End), max(b.Begin, b.End)) })
	return all, nil
}
