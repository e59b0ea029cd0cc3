package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule/simulate"
)

// Bounds of a recorded load.
const (
	mostLoad   = 10_000_000 // jobs
	longestRun = 1000 * time.Hour
	lastSecond = 366 * 24 * 3600 // at which a job can come
)

// A recorded is a job of a load, with the instant at which it came if the line names one.
type recorded struct {
	simulate.Job
	instant time.Time
	timed   bool
	ran     bool
}

// readLoad reads a recorded load. Instants count from the earliest one.
func readLoad(r io.Reader) ([]simulate.Job, error) {
	var list []recorded
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	for sc.Scan() {
		n++
		line := sc.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		job, err := parseRecorded(line)
		switch {
		case err != nil:
		case len(list) > 0 && job.instant.IsZero() != list[0].instant.IsZero():
			err = errors.New(`"at" must be of one kind in all lines, either seconds or times`)
		case len(list) == mostLoad:
			err = fmt.Errorf("there are over %d jobs", mostLoad)
		}
		if err != nil {
			return nil, &lineError{n, err}
		}
		list = append(list, job)
	}
	if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, &lineError{n + 1, fmt.Errorf("%w: it is over %d bytes", jobqueue.ErrTooLarge, maxLine)}
	} else if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("the load has no jobs")
	}
	first := slices.MinFunc(list, func(a, b recorded) int { return a.instant.Compare(b.instant) }).instant
	jobs := make([]simulate.Job, len(list))
	for i, l := range list {
		if jobs[i] = l.Job; l.timed {
			jobs[i].At = l.instant.Sub(first)
		}
		if jobs[i].At > lastSecond*time.Second {
			return nil, fmt.Errorf("the load is longer than %d days", lastSecond/(24*3600))
		}
	}
	slices.SortStableFunc(jobs, func(a, b simulate.Job) int { return cmp.Compare(a.At, b.At) })
	return jobs, nil
}

// parseRecorded reads one line.
func parseRecorded(line []byte) (recorded, error) {
	var j recorded
	if !utf8.Valid(line) {
		return j, errors.New("it is not UTF-8")
	}
	if line[0] != '{' {
		return j, fmt.Errorf("it is not a JSON object: %.40q", line)
	}
	came := false
	err := object(line, func(key string, raw json.RawMessage) error {
		var err error
		want := ""
		switch key {
		case "at":
			came = true
			want, err = fmt.Sprintf(`seconds from 0 to %d or a time such as "2006-01-02T15:04:05Z"`, lastSecond), j.setAt(raw)
		case "domain":
			want, err = "a string", text(raw, &j.Domain)
		case "type":
			want, err = "a string", text(raw, &j.Type)
		case "ms":
			want = fmt.Sprintf("milliseconds from 0 to %d", longestRun.Milliseconds())
			j.ran, err = true, decimal(raw, time.Millisecond, longestRun, &j.Run)
		default:
			return fmt.Errorf("unknown key %q, the keys are at, domain, type, ms", key)
		}
		if err != nil {
			return fmt.Errorf("%q must be %s, not %s", key, want, short(raw))
		}
		return nil
	})
	switch {
	case err != nil:
		return j, err
	case !came:
		return j, errors.New(`it has no "at"`)
	case !j.ran:
		return j, errors.New(`it has no "ms"`)
	}
	return j, j.Name.Check()
}

func (j *recorded) setAt(raw json.RawMessage) error {
	if raw[0] != '"' {
		return decimal(raw, time.Second, lastSecond*time.Second, &j.At)
	}
	j.timed = true
	if err := json.Unmarshal(raw, &j.instant); err != nil {
		return err
	}
	if j.instant.IsZero() {
		return errKind
	}
	return nil
}

// decimal reads a number of units from 0 to most.
func decimal(raw json.RawMessage, unit, most time.Duration, d *time.Duration) error {
	var n float64
	if string(raw) == "null" {
		return errKind
	}
	if err := json.Unmarshal(raw, &n); err != nil {
		return err
	}
	if n < 0 || n > float64(most/unit) {
		return errKind
	}
	*d = time.Duration(n * float64(unit))
	return nil
}
