package queuedb

import (
	"encoding/binary"
	"errors"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// An answer is what a push returned, as it is kept.
type answer struct {
	first int64
	n     int
	twins []twin
}

// A twin is the place of a duplicate and the number of the job that stays.
type twin struct {
	place int
	id    int64
}

func (a *answer) pushed() jobqueue.Pushed {
	pushed := make(jobqueue.Pushed, a.n)
	for _, t := range a.twins {
		pushed[t.place] = jobqueue.PushedJob{ID: formatID(t.id), Duplicate: true}
	}
	for i := range pushed {
		if !pushed[i].Duplicate {
			pushed[i].ID = formatID(a.first + int64(i))
		}
	}
	return pushed
}

func (a *answer) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(a.first))
	b = binary.AppendUvarint(b, uint64(a.n))
	for _, t := range a.twins {
		b = binary.AppendUvarint(b, uint64(t.place))
		b = binary.AppendUvarint(b, uint64(t.id))
	}
	return b
}

// parseAnswer is the reverse of encode.
func parseAnswer(b []byte) (a answer, err error) {
	var n []uint64
	for len(b) > 0 {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			break
		}
		n, b = append(n, v), b[size:]
	}
	if len(b) > 0 || len(n) < 2 || len(n)%2 != 0 || n[1] > jobqueue.MaxPush {
		return a, errors.New("stored answer to a push is damaged")
	}
	a.first, a.n = int64(n[0]), int(n[1])
	for i := 2; i < len(n); i += 2 {
		a.twins = append(a.twins, twin{int(n[i]), int64(n[i+1])})
	}
	return a, nil
}

// findAnswers gives calls that repeat earlier ones the answers of those, and returns the others.
func (t tx) findAnswers(calls []*pushCall) (fresh []*pushCall, err error) {
	ids := make([][]byte, len(calls))
	byID := make(map[uuid.UUID]*pushCall, len(calls))
	for i, c := range calls {
		ids[i], byID[c.id] = c.id[:], c
	}
	err = t.QueryEach("push_find", func(scan Scan) error {
		var key, packed []byte
		if err := scan(&key, &packed); err != nil {
			return err
		}
		id, err := uuid.FromBytes(key)
		if err != nil {
			return err
		}
		if c := byID[id]; c != nil {
			c.answer, err = parseAnswer(packed)
			delete(byID, id)
		}
		return err
	}, ids)
	for _, c := range calls {
		if byID[c.id] != nil {
			fresh = append(fresh, c)
		}
	}
	return fresh, err
}

// addAnswers stores the answers of calls.
func (t tx) addAnswers(calls []*pushCall) error {
	ids, answers := make([][]byte, len(calls)), make([][]byte, len(calls))
	for i, c := range calls {
		ids[i], answers[i] = c.id[:], c.answer.encode()
	}
	return t.ExecEach("push_add", ids, column(len(calls), t.now()), answers)
}
