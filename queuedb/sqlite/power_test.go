package sqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A moment is a file and its log as they are after a commit, and what they say.
type moment struct {
	db, log, before []byte // before is the log as it was before the commit
	moved           int    // how much of the log is in the file, and so was on the disk before
	rows            []string
}

// A history is a file in use, with every moment of it.
type history struct {
	*testing.T
	b       *sqlite.Backend
	path    string
	db      *sql.DB // the same file, with nothing but SQLite
	rnd     *rand.Rand
	pushed  int
	held    []*jobqueue.Claim
	moments []moment
}

func (h *history) read(path string) []byte {
	h.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		h.Fatal(err)
	}
	return data
}

// note adds a moment, unless nothing was committed since the last one.
func (h *history) note() {
	h.Helper()
	m := moment{db: h.read(h.path), log: h.read(h.path + "-wal"), rows: dump(h.T, h.db)}
	if n := len(h.moments); n > 0 {
		m.before = h.moments[n-1].log
		if string(m.before) == string(m.log) {
			return
		}
		known := 0
		if len(m.before) > 0 && string(m.before[:32]) == string(m.log[:32]) {
			m.moved, known = h.moments[n-1].moved, len(commits(m.before))
		}
		if n := len(commits(m.log)) - known; n != 1 {
			h.Fatalf("a call made %d commits", n)
		}
	}
	h.moments = append(h.moments, m)
}

// act does one of the things that a store is there for.
func (h *history) act() {
	h.Helper()
	name := []jobqueue.Name{queue, {Domain: "dewiki", Type: "mail"}}[h.rnd.IntN(2)]
	switch h.rnd.IntN(7) {
	case 0, 1, 2:
		rs := make([]jobqueue.Record, 1+h.rnd.IntN(30))
		for i := range rs {
			rs[i] = jobqueue.Record{Name: name, Params: fmt.Appendf(nil, `{"n":%d,"text":"%0*d"}`, h.pushed, h.rnd.IntN(400), 0)}
			h.pushed++
			switch h.rnd.IntN(4) {
			case 0:
				rs[i].Digest = jobqueue.KeyDigest(fmt.Sprint(h.rnd.IntN(40)))
			case 1:
				rs[i].Delay = time.Duration(h.rnd.IntN(100)) * time.Millisecond
			case 2:
				rs[i].Root = jobqueue.Root{Key: fmt.Sprint(h.rnd.IntN(9))}
			}
		}
		push(h, h.b, rs...)
	case 3, 4:
		cs, err := h.b.Pop(h.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: name, Max: 1 + h.rnd.IntN(20)})
		if err != nil {
			h.Fatal(err)
		}
		h.held = append(h.held, cs...)
	case 5:
		n := min(len(h.held), 1+h.rnd.IntN(30))
		var os []jobqueue.Outcome
		for _, c := range h.held[:n] {
			do := []jobqueue.Action{jobqueue.ActionDone, jobqueue.ActionRetry, jobqueue.ActionGiveBack, jobqueue.ActionAbandon}[h.rnd.IntN(4)]
			o := jobqueue.Outcome{Claim: c, Do: do, Err: "why not"}
			if do == jobqueue.ActionRetry {
				o.Delay = time.Hour
			}
			os = append(os, o)
		}
		h.held = h.held[n:]
		settle(h, h.b, os...)
	case 6:
		if _, err := h.b.Requeue(h.Context(), jobqueue.Filter{Limit: 5}); err != nil {
			h.Fatal(err)
		}
	}
}

// newHistory lets n things happen to a new file. Sometimes the log is moved into the file, and begins anew with the next commit.
func newHistory(t *testing.T, rnd *rand.Rand, n int) *history {
	h := &history{T: t, path: newFile(t), rnd: rnd}
	h.b = openFile(t, h.path, &sqlite.Options{Relaxed: true})
	h.db = raw(t, h.path)
	execute(t, h.db, "pragma wal_checkpoint(truncate)")
	h.note()
	for range n {
		if rnd.IntN(20) == 0 {
			execute(t, h.db, "pragma wal_checkpoint(passive)")
			m := &h.moments[len(h.moments)-1]
			m.db, m.moved = h.read(h.path), len(m.log)
		}
		h.act()
		h.note()
	}
	return h
}

// commits returns where in a log each commit ends, by its header and those of its frames.
func commits(log []byte) (ends []int) {
	const header, frame = 32, 24
	if len(log) < header {
		return nil
	}
	salt := log[16:24]
	page := int(binary.BigEndian.Uint32(log[8:]))
	for end := header + frame + page; end <= len(log); end += frame + page {
		f := log[end-page-frame:]
		if string(f[8:16]) != string(salt) {
			break
		}
		if binary.BigEndian.Uint32(f[4:]) != 0 {
			ends = append(ends, end)
		}
	}
	return ends
}

// TestPowerLoss cuts the log of a file wherever a machine may have stopped writing it:
// what is left is the file as it was after some commit, whole, and it goes on from there.
func TestPowerLoss(t *testing.T) {
	seed, calls, cuts := uint64(time.Now().UnixNano()), 60, 20
	if _, asked := os.LookupEnv("SOAK"); asked {
		calls, cuts = 150, 2000
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	h := newHistory(t, rnd, calls)
	path := filepath.Join(t.TempDir(), "jobs.db")
	fewer := map[bool]int{}
	for i := range cuts {
		last := 1 + rnd.IntN(len(h.moments)-1)
		m := h.moments[last]
		ends := commits(m.log)
		cut := m.moved + rnd.IntN(max(0, ends[len(ends)-1]-m.moved)+1)
		if i%4 == 0 {
			cut = max(m.moved, ends[rnd.IntN(len(ends))]-rnd.IntN(2)) // exactly at a commit, or a byte before
		}
		log := m.log[:cut:cut]
		switch rnd.IntN(4) {
		case 0: // room was made, but nothing came there
			log = append(log, make([]byte, len(m.log)-cut)...)
		case 1: // the log began anew, over an old one
			if commits(m.before) != nil && string(m.before[:32]) != string(m.log[:32]) && cut >= 32 {
				log = append(log, m.before[min(cut, len(m.before)):]...)
			}
		case 2:
			for range rnd.IntN(10_000) {
				log = append(log, byte(rnd.Uint32()))
			}
		}
		// Moments are as many as commits; those of this log are the last ones.
		kept := 0
		for _, end := range ends {
			// What came by chance where the cut was is as good.
			if end <= len(log) && bytes.Equal(log[:end], m.log[:end]) {
				kept++
			}
		}
		want := last - len(ends) + kept
		fewer[want < last]++
		write(t, path, m.db, log)
		checkLoss(t, path, h.moments[want].rows)
		if t.Failed() {
			t.Fatalf("after cut %d: %d of %d bytes of the log of commit %d", i, cut, len(m.log), last)
		}
	}
	t.Logf("%d commits, %d cuts, %d of them lost some", len(h.moments), cuts, fewer[true])
	if fewer[true] < cuts/4 {
		t.Errorf("only %d of %d cuts lost anything", fewer[true], cuts)
	}
}

// TestPowerLossInCheckpoint stops a machine while the log is moved to the file: nothing is lost.
func TestPowerLossInCheckpoint(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "jobs.db")
	rounds := 1
	if _, asked := os.LookupEnv("SOAK"); asked {
		rounds = 10
	}
	for range rounds {
		h := newHistory(t, rnd, 40)
		before := h.read(h.path)
		log := h.read(h.path + "-wal")
		execute(t, h.db, "pragma wal_checkpoint(passive)")
		after := h.read(h.path)
		for range 5 {
			const page = 4096
			db := append([]byte(nil), before...)
			db = append(db, make([]byte, max(0, len(after)-len(before)))...)
			for at := 0; at < len(after); at += page {
				if rnd.IntN(2) == 0 {
					copy(db[at:at+page], after[at:])
				}
			}
			write(t, path, db, log)
			checkLoss(t, path, h.moments[len(h.moments)-1].rows)
		}
	}
}

func write(t *testing.T, path string, db, log []byte) {
	t.Helper()
	for suffix, data := range map[string][]byte{"": db, "-wal": log} {
		if err := os.WriteFile(path+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(path + "-shm"); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// whole are queries that find nothing in a file where everything fits together.
var whole = map[string]string{
	"digests whose job does not wait": `
		select d.job from dedupe d left join job j on j.id = d.job
		where j.digest is not d.digest or j.queue is not d.queue
			or d.job not in (select job from ready union all select job from later)`,
	"numbers that were not given out": "select id from job where id > (select last from meta)",
	"errors":                          "select * from pragma_integrity_check where integrity_check <> 'ok'",
}

// oneState checks that every job is in exactly one state.
func oneState(t *testing.T, db *sql.DB) {
	t.Helper()
	states := map[int64]int{}
	rows, err := db.Query("select job from ready union all select job from later union all select job from abandoned")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		states[id]++
	}
	if rows, err = db.Query("select held from claim"); err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var held []byte
		if err := rows.Scan(&held); err != nil {
			t.Fatal(err)
		}
		for last := int64(0); len(held) > 0; {
			gap, n := binary.Varint(held)
			more, m := binary.Uvarint(held[n:])
			for last += gap; ; last, more = last+1, more-1 {
				if states[last]++; more == 0 {
					break
				}
			}
			held = held[n+m:]
		}
	}
	for id, n := range states {
		if n != 1 {
			t.Errorf("job %d has %d states", id, n)
		}
	}
	if rows, err = db.Query("select id from job union all select job from abandoned"); err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		if states[id] == 0 {
			t.Errorf("job %d has no state, or two rows", id)
		}
		delete(states, id)
	}
	if len(states) > 0 {
		t.Errorf("%d states of jobs that are not there", len(states))
	}
}

// checkLoss opens a file after a loss: it is what it was at some moment, it is whole, and its jobs can be run.
func checkLoss(t *testing.T, path string, rows []string) {
	t.Helper()
	b, err := sqlite.Open(path, &sqlite.Options{Relaxed: true})
	if err != nil {
		t.Error(err)
		return
	}
	defer b.Close()
	db := raw(t, path)
	defer db.Close()
	if d := cmp.Diff(rows, dump(t, db)); d != "" {
		t.Errorf("the file is not what it was at that commit (-want +got):\n%s", d)
	}
	for what, query := range whole {
		if n := number(t, db, "select count(*) from ("+query+")"); n > 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	oneState(t, db)
	listed := map[jobqueue.Name]jobqueue.Counts{}
	for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		c := listed[e.Name]
		c.Name = e.Name
		switch e.State {
		case jobqueue.Ready, jobqueue.Delayed:
			c.Ready++
		case jobqueue.Claimed:
			c.Claimed++
		case jobqueue.Abandoned:
			c.Abandoned++
		}
		listed[e.Name] = c
	}
	counted := map[jobqueue.Name]jobqueue.Counts{}
	all, err := b.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		c.Age = 0
		// What is delayed may be due by now.
		c.Ready, c.Delayed = c.Ready+c.Delayed, 0
		counted[c.Name] = c
	}
	if d := cmp.Diff(listed, counted); d != "" {
		t.Errorf("what is listed and what is counted differ (-list +counts):\n%s", d)
	}
	if _, err := b.Requeue(t.Context(), jobqueue.Filter{States: jobqueue.States()}); err != nil {
		t.Error(err)
	}
	for n := range counted {
		want := counted[n].Total()
		cs, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, jobqueue.Want{Name: n, Max: want + 1})
		if err != nil || len(cs) != want {
			t.Errorf("Pop = %d jobs, %v, want %d", len(cs), err, want)
		}
		settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
	}
}
