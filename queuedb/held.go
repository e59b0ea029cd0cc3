package queuedb

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A keptHold is a hold as it is stored.
type keptHold struct {
	name            jobqueue.Name
	text            string // its jobs
	ended           bool
	stored, dropped int
}

// A heldJob is a job in a hold as it is stored.
type heldJob struct {
	Params   string `json:"params"`
	Headers  string `json:"headers,omitempty"`
	Tries    int    `json:"tries,omitempty"`
	Digest   string `json:"digest,omitempty"` // hexadecimal; while it waited
	RootKey  string `json:"rootKey,omitempty"`
	RootTime int64  `json:"rootTime,omitempty"`
	Pushed   int64  `json:"pushed"`
	Release  int64  `json:"release,omitempty"` // 0: it was ready
	Failures int    `json:"failures,omitempty"`
	Expiries int    `json:"expiries,omitempty"`
	Error    string `json:"error,omitempty"`
}

func newHeldJob(r *row, p *place) heldJob {
	j := heldJob{
		Params: string(r.params), Headers: r.headers, Tries: r.tries, RootKey: r.rootKey, RootTime: r.rootTime,
		Pushed: r.pushed, Release: p.release, Failures: r.failures, Expiries: r.expiries, Error: r.lastError,
	}
	if p.deduped {
		j.Digest = r.digest
	}
	return j
}

// record returns what a push of the job would have, at once.
func (j *heldJob) record(n jobqueue.Name) (jobqueue.Record, error) {
	r := jobqueue.Record{Name: n, Params: json.RawMessage(j.Params), MaxTries: j.Tries}
	if j.RootKey != "" {
		r.Root = jobqueue.Root{Key: j.RootKey, Time: instant(j.RootTime)}
	}
	if digest, err := hex.DecodeString(j.Digest); err != nil || copy(r.Digest[:], digest) < len(digest) {
		return r, fmt.Errorf("digest %q of a job in a hold of %v is damaged", j.Digest, n)
	}
	if j.Headers != "" {
		if err := json.Unmarshal([]byte(j.Headers), &r.Headers); err != nil {
			return r, fmt.Errorf("headers of a job in a hold of %v are damaged: %w", n, err)
		}
	}
	return r, nil
}

// heldJobs is what is stored of jobs from elsewhere.
func (t tx) heldJobs(held []jobqueue.Held) ([]heldJob, error) {
	records := make([]jobqueue.Record, len(held))
	for i := range held {
		records[i] = held[i].Record
	}
	headers, err := headersOf(records)
	if err != nil {
		return nil, err
	}
	p := pushing{tx: t}
	jobs := make([]heldJob, len(held))
	for i := range held {
		e := &held[i]
		jobs[i] = heldJob{
			Params: string(e.Params), Headers: headers[i], Tries: e.MaxTries, Pushed: e.QueuedAt.UnixMicro(),
			Release: p.releaseTime(&e.Record), Failures: e.Failures, Expiries: e.Expiries, Error: cut(e.LastError),
		}
		if e.Root.Key != "" {
			jobs[i].RootKey, jobs[i].RootTime = e.Root.Key, e.Root.Time.UnixMicro()
		}
		if e.Digest != (jobqueue.Digest{}) {
			jobs[i].Digest = hex.EncodeToString(e.Digest[:])
		}
	}
	return jobs, nil
}

// heldOf describes jobs in a hold to a caller.
func heldOf(n jobqueue.Name, jobs []heldJob, now int64) ([]jobqueue.Held, error) {
	held := make([]jobqueue.Held, len(jobs))
	for i := range jobs {
		j, h := &jobs[i], &held[i]
		var err error
		if h.Record, err = j.record(n); err != nil {
			return nil, err
		}
		h.Delay = duration(max(0, j.Release-now))
		h.QueuedAt, h.Failures, h.Expiries, h.LastError = instant(j.Pushed), j.Failures, j.Expiries, j.Error
	}
	return held, nil
}

// putHold stores a hold; it is ErrAgain if there is one of that id or was.
func (t tx) putHold(h jobqueue.Hold, jobs []heldJob) error {
	text, err := json.Marshal(jobs)
	if err != nil {
		return err
	}
	n, err := t.Count("hold_put", h.ID[:], h.Label, h.Domain, h.Type, t.now(), int64(len(jobs)), string(text))
	if err == nil && n == 0 {
		err = ErrAgain
	}
	return err
}

// readHold returns a hold, or nil.
func (t tx) readHold(id uuid.UUID) (k *keptHold, err error) {
	err = t.Query("hold_read", func(scan Scan) error {
		var stored, dropped int64
		k = new(keptHold)
		err := scan(&k.name.Domain, &k.name.Type, &k.text, &k.ended, &stored, &dropped)
		k.stored, k.dropped = int(stored), int(dropped)
		return err
	}, id[:])
	return k, err
}

// findHold is readHold for who may end the hold.
func (t tx) findHold(id uuid.UUID) (*keptHold, error) {
	if !t.Exclusive() {
		if _, err := t.numbers("hold_hold", id[:]); err != nil {
			return nil, err
		}
	}
	return t.readHold(id)
}

func (k *keptHold) jobs() (jobs []heldJob, err error) {
	if k.ended {
		return nil, nil
	}
	if err = json.Unmarshal([]byte(k.text), &jobs); err != nil {
		err = fmt.Errorf("hold of %v is damaged: %w", k.name, err)
	}
	return jobs, err
}

func (k *keptHold) held(now int64) ([]jobqueue.Held, error) {
	jobs, err := k.jobs()
	if err != nil {
		return nil, err
	}
	return heldOf(k.name, jobs, now)
}
