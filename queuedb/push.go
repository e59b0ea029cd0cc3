package queuedb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Push implements [jobqueue.Backend].
func (b *Backend) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if err := jobqueue.CheckPush(records); err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return jobqueue.Pushed{}, nil
	}
	headers, err := headersOf(records)
	if err != nil {
		return nil, err
	}
	c := &pushCall{ctx: ctx, id: id, records: records, headers: headers}
	b.line.push(b, c)
	if c.err != nil {
		return nil, c.err
	}
	return c.answer.pushed(), nil
}

// headersOf returns the headers of each record as they are stored.
func headersOf(records []jobqueue.Record) ([]string, error) {
	headers := make([]string, len(records))
	for i := range records {
		if len(records[i].Headers) == 0 {
			continue
		}
		text, err := json.Marshal(records[i].Headers)
		if err != nil {
			return nil, fmt.Errorf("%w: headers: %w", jobqueue.ErrInvalid, err)
		}
		headers[i] = string(text)
	}
	return headers, nil
}

// pushAll does pushes in one transaction. Their ids differ.
func (b *Backend) pushAll(ctx context.Context, calls ...*pushCall) error {
	var queues found
	err := b.write(ctx, func(t tx) error {
		queues = nil // Those of a transaction that was undone may be too.
		fresh, err := t.findAnswers(calls)
		if err != nil || len(fresh) == 0 {
			return err
		}
		p := pushing{tx: t, records: slices.Clip(fresh[0].records), headers: slices.Clip(fresh[0].headers)}
		for _, c := range fresh[1:] {
			p.records, p.headers = append(p.records, c.records...), append(p.headers, c.headers...)
		}
		if queues, err = b.addQueues(t, p.names()); err != nil {
			return err
		}
		if err := p.run(queues); err != nil {
			return err
		}
		p.answer(fresh)
		if err := t.forgetFew("push_forget", t.now()-micros(jobqueue.PushMemory), len(fresh)); err != nil {
			return err
		}
		return t.addAnswers(fresh)
	})
	if err == nil {
		b.remember(queues)
	}
	return err
}

// A pushing is a Push at work, or several as one. Its jobs get consecutive numbers by their
// place; that of a duplicate stays unused.
type pushing struct {
	tx
	records []jobqueue.Record
	headers []string
	pushed  []int64 // when they were pushed, if that was not now
	keeps   bool    // no job that has a duplicate here is claimed before the commit

	first   int64
	queue   []int64          // by place
	release []int64          // by place; 0 is at once
	root    []root           // by place
	twin    []int64          // by place: the number of the job that stays, or 0
	waiting map[int64]*state // jobs of other pushes that have duplicates here
	marks   map[markKey]int64

	late, lateAt []int64 // jobs of this push that a duplicate made ready, and their places in line
}

func (p *pushing) names() []jobqueue.Name {
	names := make([]jobqueue.Name, len(p.records))
	for i := range p.records {
		names[i] = p.records[i].Name
	}
	return names
}

func (p *pushing) run(queues found) (err error) {
	n := len(p.records)
	if err = p.reserve(n, func(first, _ int64) { p.first = first }); err != nil {
		return err
	}
	p.marks = map[markKey]int64{}
	p.queue, p.release, p.root, p.twin = make([]int64, n), make([]int64, n), make([]root, n), make([]int64, n)
	for i := range p.records {
		r := &p.records[i]
		if i > 0 && r.Name == p.records[i-1].Name {
			p.queue[i] = p.queue[i-1]
		} else {
			p.queue[i] = queues[r.Name]
		}
		if p.release[i] = p.releaseTime(r); p.release[i] == 0 && (i == 0 || r.Name != p.records[i-1].Name || p.release[i-1] != 0) {
			p.lines.names = append(p.lines.names, r.Name)
		}
		if r.Root.Key != "" && !r.Root.Time.IsZero() {
			p.root[i] = root{r.Root.Key, r.Root.Time.UnixMicro()}
		}
	}
	if err := p.timeRoots(); err != nil {
		return err
	}
	if err := p.dedupe(); err != nil {
		return err
	}
	for i := range p.records {
		if p.twin[i] == 0 {
			p.mark(i)
		}
	}
	if err := p.store(); err != nil {
		return err
	}
	return p.moveMarks(p.marks)
}

// answer tells the calls, whose records are those of p in their order, what became of them.
func (p *pushing) answer(calls []*pushCall) {
	place := 0
	for _, c := range calls {
		n := len(c.records)
		c.answer = answer{first: p.first + int64(place), n: n}
		for i, id := range p.twin[place : place+n] {
			if id != 0 {
				c.answer.twins = append(c.answer.twins, twin{i, id})
			}
		}
		place += n
	}
}

// timeRoots gives the roots without a time one that is newer than their marks,
// though the clock may have gone back or a mark lie ahead of it.
func (p *pushing) timeRoots() error {
	times := map[markKey]int64{}
	var queues []int64
	var keys []string
	for i := range p.records {
		if r := &p.records[i].Root; r.Key != "" && r.Time.IsZero() {
			k := markKey{p.queue[i], r.Key}
			if _, seen := times[k]; !seen {
				times[k] = p.now()
				queues, keys = append(queues, k.queue), append(keys, k.key)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if !p.Exclusive() {
		// Two pushes that read the same mark would both have its next time.
		if err := p.ExecEach("root_hold", queues, keys); err != nil {
			return err
		}
	}
	err := p.QueryEach("root_read", func(scan Scan) error {
		var k markKey
		var at int64
		err := scan(&k.queue, &k.key, &at)
		times[k] = max(times[k], at+1)
		return err
	}, queues, keys)
	for i := range p.records {
		if r := &p.records[i].Root; r.Key != "" && r.Time.IsZero() {
			p.root[i] = root{r.Key, times[markKey{p.queue[i], r.Key}]}
		}
	}
	return err
}

func (p *pushing) releaseTime(r *jobqueue.Record) int64 {
	at := p.now() + r.Delay.Microseconds()
	if !r.ReleaseAt.IsZero() {
		at = r.ReleaseAt.UnixMicro()
	}
	if at <= p.now() {
		return 0
	}
	return at
}

func (p *pushing) mark(i int) {
	if r := p.root[i]; r.key != "" {
		k := markKey{p.queue[i], r.key}
		if t, marked := p.marks[k]; !marked || r.time > t {
			p.marks[k] = r.time
		}
	}
}

// store writes the jobs that are no duplicates.
func (p *pushing) store() error {
	n := len(p.records)
	ids, queues, times := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	tries, digests := make([]int64, 0, n), make([][]byte, 0, n)
	rootKeys, rootTimes := make([]string, 0, n), make([]int64, 0, n)
	headers, params := make([]string, 0, n), make([][]byte, 0, n)
	var ready Runs
	var delayed, releases []int64
	for i := range p.records {
		if p.twin[i] != 0 {
			continue
		}
		r, id := &p.records[i], p.first+int64(i)
		ids, queues, times = append(ids, id), append(queues, p.queue[i]), append(times, p.now())
		if p.pushed != nil {
			times[len(times)-1] = p.pushed[i]
		}
		tries, headers, params = append(tries, int64(r.MaxTries)), append(headers, p.headers[i]), append(params, r.Params)
		rootKeys, rootTimes = append(rootKeys, p.root[i].key), append(rootTimes, p.root[i].time)
		digests = append(digests, digestBytes(&r.Digest))
		switch k := len(ready) - 1; {
		case slices.Contains(p.late, id):
		case p.release[i] != 0:
			delayed, releases = append(delayed, id), append(releases, p.release[i])
		case k >= 0 && ready[k].Last == id-1:
			ready[k].Last = id
		default:
			ready = append(ready, Run{id, id})
		}
	}
	p.lines.add(ready.Numbers())
	number, text := func(n int64) bool { return n != 0 }, func(s string) bool { return s != "" }
	said := []any{sparse(tries, number), sparse(digests, func(d []byte) bool { return d != nil }),
		sparse(rootKeys, text), sparse(rootTimes, number), sparse(headers, text)}
	var err error
	if p.Exclusive() || slices.ContainsFunc(said, func(column any) bool { return column != nil }) {
		err = p.ExecEach("job_add", ids, queues, times, said[0], said[1], said[2], said[3], said[4], params)
	} else {
		err = p.ExecEach("job_add_plain", ids, queues, times, params)
	}
	switch {
	case err != nil || len(ready) == 0:
	case p.Exclusive():
		err = p.ExecEach("ready_push", ready)
	case len(delayed)+len(p.late) == 0:
		err = p.ExecEach("ready_push", ids, queues, times)
	default:
		isReady := func(i int) bool { return ready.has(ids[i]) }
		err = p.ExecEach("ready_push", only(ids, isReady), only(queues, isReady), only(times, isReady))
	}
	if err == nil && len(delayed) > 0 {
		err = p.delay(releases, delayed)
	}
	if err == nil && len(p.late) > 0 {
		err = p.lineUp(p.lateAt, p.late, column(len(p.late), p.now()))
	}
	return err
}

// only returns the rows of a column that are wanted.
func only(column []int64, wanted func(i int) bool) []int64 {
	var rows []int64
	for i, v := range column {
		if wanted(i) {
			rows = append(rows, v)
		}
	}
	return rows
}

// sparse returns a column, or nil, which is cheaper, where it says nothing.
func sparse[T any](column []T, says func(T) bool) any {
	if slices.ContainsFunc(column, says) {
		return column
	}
	return nil
}

func digestBytes(d *jobqueue.Digest) []byte {
	if *d == (jobqueue.Digest{}) {
		return nil
	}
	return d[:]
}
