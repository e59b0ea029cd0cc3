package queuedb

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
)

// A row is a stored job as it is read.
type row struct {
	id, queue int64
	pushed    int64
	params    []byte
	more
	damage error // why it cannot be read
}

// more is what most jobs have not.
type more struct {
	tries     int
	digest    string // hexadecimal
	rootKey   string
	rootTime  int64
	mark      int64 // where the mark of the root stands
	headers   string
	failures  int
	expiries  int
	lastError string
}

func (m *more) parse(packed []byte) error {
	if packed == nil {
		return nil
	}
	// The decoder fills in the values that the elements point to.
	elements := []any{&m.tries, &m.digest, &m.rootKey, &m.rootTime, &m.mark, &m.headers, &m.failures, &m.expiries, &m.lastError}
	return json.Unmarshal(packed, &elements)
}

// readJobs reads jobs that are not abandoned and returns them in the order of ids, leaving out such as are gone.
func (t tx) readJobs(ids Numbers) ([]row, error) {
	rows, err := t.readRows("job_read", ids)
	if err != nil || slices.EqualFunc(rows, ids, func(r row, id int64) bool { return r.id == id }) {
		return rows, err
	}
	place := make(map[int64]int, len(rows))
	for i := range rows {
		place[rows[i].id] = i
	}
	sorted := make([]row, 0, len(rows))
	for _, id := range ids {
		if i, ok := place[id]; ok {
			sorted = append(sorted, rows[i])
		}
	}
	return sorted, nil
}

// readRows reads jobs with job_read or abandoned_read, in any order.
func (t tx) readRows(statement string, ids Numbers) ([]row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows := make([]row, 0, len(ids))
	err := t.QueryEach(statement, func(scan Scan) error {
		rows = append(rows, row{})
		return rows[len(rows)-1].read(scan)
	}, RunsOf(ids))
	return rows, err
}

// read reads what job_read returns, and what a statement returns besides.
func (r *row) read(scan Scan, besides ...any) error {
	var packed []byte
	if err := scan(append([]any{&r.id, &r.queue, &r.pushed, &r.params, &packed}, besides...)...); err != nil {
		return err
	}
	if r.damage = r.parse(packed); r.damage == nil {
		r.damage = r.check()
	}
	return nil
}

func (t tx) deleteJobs(ids Numbers) error {
	return t.ExecEach("job_delete", RunsOf(ids))
}

// check finds what a cut or overwritten row looks like. It does not parse the
// parameters, as whoever decodes them does.
func (r *row) check() error {
	p := bytes.TrimSpace(r.params)
	switch {
	case len(p) < 2 || p[0] != '{' || p[len(p)-1] != '}' || bytes.IndexByte(p, 0) >= 0 || !utf8.Valid(p):
		return fmt.Errorf("stored parameters are no JSON object: %.40q", r.params)
	case r.failures < 0 || r.expiries < 0 || r.tries < 0:
		return errors.New("stored counters are negative")
	case r.headers != "" && !json.Valid([]byte(r.headers)):
		return fmt.Errorf("stored headers are not JSON: %.40q", r.headers)
	}
	return nil
}

// record fills in rec but for its name and digest.
func (r *row) record(rec *jobqueue.Record) error {
	rec.Params, rec.MaxTries = r.params, r.tries
	if r.rootKey != "" {
		rec.Root = jobqueue.Root{Key: r.rootKey, Time: instant(r.rootTime)}
	}
	if r.headers == "" {
		return nil
	}
	return json.Unmarshal([]byte(r.headers), &rec.Headers)
}

func (r *row) superseded() bool { return r.rootKey != "" && r.mark > r.rootTime }

func (r *row) digestValue() (d jobqueue.Digest) {
	hex.Decode(d[:], []byte(r.digest[:min(len(r.digest), 2*len(d))]))
	return d
}
