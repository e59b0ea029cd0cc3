package queuedb

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A ledger is the row of one Pop. A job of the Pop is in held, or in settled,
// or was taken away.
type ledger struct {
	token   []byte
	expires int64 // 0 once it has ended
	held    Numbers
	settled Runs

	gone  []bool // by place in held: not any more
	left  int
	next  int           // where the next id is looked for first
	index map[int64]int // of held, made when ids come out of order
	done  []int64       // settled since it was read
}

// findLedgers reads the rows of the tokens that are known.
func (t tx) findLedgers(tokens []uuid.UUID) (map[uuid.UUID]*ledger, error) {
	column := make([][]byte, len(tokens))
	for i := range tokens {
		column[i] = tokens[i][:]
	}
	ledgers := make(map[uuid.UUID]*ledger, len(tokens))
	err := t.QueryEach("claim_find", func(scan Scan) error {
		var held, settled Runs
		l := new(ledger)
		if err := scan(&l.token, &l.expires, &held, &settled); err != nil {
			return err
		}
		token, err := uuid.FromBytes(l.token)
		ledgers[token] = l
		l.open(held, settled)
		return err
	}, column)
	return ledgers, err
}

// open makes l ready for use. What is damaged of it counts as empty; a sweep ends
// the claim in its time, and Maintain finds the jobs.
func (l *ledger) open(held, settled Runs) {
	l.token = slices.Clone(l.token)
	l.held, l.settled = held.Numbers(), settled
	l.gone, l.left = make([]bool, len(l.held)), len(l.held)
}

// take takes a job out of those that are held.
func (l *ledger) take(id int64) bool {
	i := l.next
	if i >= len(l.held) || l.held[i] != id {
		if l.index == nil {
			l.index = make(map[int64]int, len(l.held))
			for k, held := range l.held {
				l.index[held] = k
			}
		}
		var held bool
		if i, held = l.index[id]; !held {
			return false
		}
	}
	if l.gone[i] {
		return false
	}
	l.gone[i], l.next = true, i+1
	l.left--
	return true
}

// settle is take for a job that is settled.
func (l *ledger) settle(id int64) bool {
	if !l.take(id) {
		return false
	}
	l.done = append(l.done, id)
	return true
}

func (l *ledger) changed() bool { return l.left < len(l.held) }

// write stores what became of l.
func (l *ledger) write(t tx) error {
	settled := l.settled.with(l.done)
	if l.left == 0 {
		return t.endClaim(l.token, settled)
	}
	held := make(Numbers, 0, l.left)
	for i, id := range l.held {
		if !l.gone[i] {
			held = append(held, id)
		}
	}
	return t.Exec("claim_settle", l.token, RunsOf(held), settled)
}

func (t tx) endClaim(token []byte, settled Runs) error {
	return t.Exec("claim_end", token, settled, t.now()+micros(jobqueue.TokenMemory))
}

// A live is a ledger as lists and counts need it.
type live struct {
	ledger
	owner  string
	lapses bool // at the next sweep
}

// lives reads every claim that has not ended.
func (t tx) lives() (claims []*live, err error) {
	err = t.Query("claim_live", func(scan Scan) error {
		var held, settled Runs
		c := new(live)
		if err := scan(&c.token, &c.owner, &c.expires, &c.lapses, &held, &settled); err != nil {
			return err
		}
		claims = append(claims, c)
		c.open(held, settled)
		return nil
	}, t.now())
	return claims, err
}

// until returns how long after now the instant us is.
func (t tx) until(us int64) time.Duration { return duration(us - t.now()) }
