package queuememory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// An answer is what a push returned: the jobs got consecutive numbers, but for the duplicates.
type answer struct {
	first, n uint64 // n jobs in all
	twins    []twin
}

// A twin is a duplicate at place i of a push, and the number of the job that stays.
type twin struct {
	i  int
	id uint64
}

type pushTime struct {
	id uuid.UUID
	at instant
}

type markKey struct {
	jobqueue.Name
	key string
}

type mark struct {
	time  time.Time
	moved instant
}

// Push implements [jobqueue.Backend].
func (b *Backend) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	return b.push(ctx, "", id, records)
}

// push is Push with a prefix for IDs.
func (b *Backend) push(ctx context.Context, prefix string, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if err := jobqueue.CheckPush(records); err != nil {
		return nil, err
	}
	jobs := make([]*job, len(records))
	for i := range records {
		jobs[i] = newJob(&records[i])
	}
	a, err := b.answer(ctx, id, records, jobs)
	if err != nil {
		return nil, err
	}
	return a.pushed(prefix), nil
}

// answer stores the jobs made of the records, unless the push is a repeat.
func (b *Backend) answer(ctx context.Context, id uuid.UUID, records []jobqueue.Record, jobs []*job) (answer, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return answer{}, err
	}
	defer b.mu.Unlock()
	a, repeated := b.pushes[id]
	if !repeated {
		a = b.store(records, jobs, now)
		b.pushes[id] = a
		b.pushLog = append(b.pushLog, pushTime{id, now})
		b.forgetPushes(now)
	}
	return a, nil
}

// pushed returns the answer as Push does.
func (a answer) pushed(prefix string) jobqueue.Pushed {
	pushed := make(jobqueue.Pushed, a.n)
	ids := make([]uint64, a.n)
	for _, t := range a.twins {
		pushed[t.i].Duplicate = true
		ids[t.i] = t.id
	}
	next := a.first
	for i := range ids {
		if !pushed[i].Duplicate {
			ids[i] = next
			next++
		}
	}
	for i, key := range newKeys(prefix, ids) {
		pushed[i].ID = key
	}
	return pushed
}

func (b *Backend) store(records []jobqueue.Record, jobs []*job, now instant) answer {
	a := answer{first: b.lastID + 1, n: uint64(len(records))}
	var q *queue
	var zero map[markKey]time.Time // what a zero time becomes
	for i := range records {
		r := &records[i]
		if q == nil || q.name != r.Name {
			q = b.queue(r.Name)
		}
		root := r.Root
		if root.Key != "" && root.Time.IsZero() {
			k := markKey{q.name, root.Key}
			if _, known := zero[k]; !known {
				if zero == nil {
					zero = map[markKey]time.Time{}
				}
				zero[k] = b.newer(k, now)
			}
			root.Time = zero[k]
		}
		j := jobs[i]
		j.queuedAt, j.root = now, whole(root)
		if w := b.admit(q, j, releaseTime(r, now), now); w != nil {
			a.twins = append(a.twins, twin{i, w.id})
		}
	}
	return a
}

// newJob returns the job that a record describes, which is nowhere yet and has neither a root nor a time.
func newJob(r *jobqueue.Record) *job {
	return &job{params: slices.Clone(r.Params), digest: r.Digest, maxTries: r.MaxTries, headers: maps.Clone(r.Headers)}
}

// whole returns a root with its time in whole microseconds.
func whole(r jobqueue.Root) jobqueue.Root {
	r.Time = r.Time.UTC().Truncate(time.Microsecond)
	return r
}

// admit stores j in q under a new number, to be ready at release; or it drops j, and returns the job that stays.
func (b *Backend) admit(q *queue, j *job, release, now instant) *job {
	if j.digest != (jobqueue.Digest{}) {
		if w := q.waiting[j.digest]; w != nil {
			b.takeOver(w, j.root, release, now)
			return w
		}
		if q.waiting == nil {
			q.waiting = map[jobqueue.Digest]*job{}
		}
		q.waiting[j.digest] = j
	}
	b.lastID++
	j.id, j.queue = b.lastID, q
	b.jobs.put(j)
	b.wait(j, release, now)
	b.mark(q.name, j.root, now)
	return nil
}

// newer returns now or, where a mark lies there or ahead of it, a moment after the mark.
func (b *Backend) newer(k markKey, now instant) time.Time {
	at := now.time()
	if m, marked := b.marks[k]; marked && !m.time.Before(at) {
		at = m.time.Add(time.Microsecond)
	}
	return at
}

func releaseTime(r *jobqueue.Record, now instant) instant {
	if !r.ReleaseAt.IsZero() {
		return max(now, instantOf(r.ReleaseAt))
	}
	return now.add(r.Delay)
}

// takeOver lets the waiting job w stand for a record that is dropped as its duplicate.
func (b *Backend) takeOver(w *job, root jobqueue.Root, release, now instant) {
	if w.state == jobqueue.Delayed && release < w.readyAt {
		b.leave(w)
		b.wait(w, release, now)
	}
	switch {
	case w.root.Key == "":
		// A job without a root is never superseded, so it does everybody's work.
	case w.root.Key != root.Key:
		// Superseded by either root's successor, it would leave the other's work undone.
		w.root = jobqueue.Root{}
	case root.Time.After(w.root.Time):
		w.root = root
		b.mark(w.queue.name, root, now)
	}
}

// mark moves the mark of a root forward and returns where it stands.
func (b *Backend) mark(n jobqueue.Name, root jobqueue.Root, now instant) time.Time {
	if root.Key == "" {
		return time.Time{}
	}
	k := markKey{n, root.Key}
	m := b.marks[k]
	if root.Time.After(m.time) {
		m = mark{root.Time, now}
		b.marks[k] = m
	}
	return m.time
}

// MarkRoots implements [jobqueue.Backend].
func (b *Backend) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	times := make([]time.Time, len(marks))
	for i, m := range marks {
		if m.Next {
			times[i] = b.newer(markKey{m.Name, m.Key}, now)
			continue
		}
		times[i] = b.mark(m.Name, jobqueue.Root{Key: m.Key, Time: m.Time.UTC().Truncate(time.Microsecond)}, now)
	}
	return times, nil
}

func (b *Backend) forgetPushes(now instant) (n int) {
	for len(b.pushLog) > n && (len(b.pushLog)-n > remembered || now.sub(b.pushLog[n].at) > jobqueue.PushMemory) {
		delete(b.pushes, b.pushLog[n].id)
		n++
	}
	b.pushLog = b.pushLog[n:]
	return n
}
