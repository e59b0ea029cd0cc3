package queueredis_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// A mute is before a server and, once told to, cuts a connection in place of the next answer.
type mute struct {
	URL   string
	armed atomic.Bool
	word  atomic.Pointer[string] // what is asked for with this has then called first
	then  func()
}

func newMute(t *testing.T, socket string) *mute {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &mute{URL: "redis://" + l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				client.Close()
				continue
			}
			go m.pass(client, server, false)
			go m.pass(server, client, true)
		}
	}()
	return m
}

func (m *mute) pass(from, to net.Conn, answers bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil || answers && m.armed.CompareAndSwap(true, false) {
			return
		}
		if word := m.word.Load(); !answers && word != nil && bytes.Contains(buf[:n], []byte(*word)) && m.word.CompareAndSwap(word, nil) {
			m.then()
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A change whose answer is lost is not made again behind the back of whoever asked for it, who would be told that there was nothing to do.
func TestChangeUnanswered(t *testing.T) {
	t.Parallel()
	s := private(t)
	m := newMute(t, s.Socket())
	b := open(t, queueredis.Options{URL: m.URL})
	if _, err := b.Push(t.Context(), uuid.New(), jobs(2, 10)); err != nil {
		t.Fatal(err)
	}
	claims, err := popAll(t.Context(), b, 1)
	if err != nil {
		t.Fatal(err)
	}
	claimed := jobqueue.Filter{IDs: []string{claims[0].ID}, States: []jobqueue.State{jobqueue.Claimed}}
	if n, err := b.Requeue(t.Context(), jobqueue.Filter{}); n != 0 || err != nil { // The server knows the script.
		t.Fatal(n, err)
	}
	m.armed.Store(true)
	n, err := b.Requeue(t.Context(), claimed)
	wants(t, err, jobqueue.ErrUnavailable, "")
	if n != 0 {
		t.Errorf("Requeue = %d, of which nobody can know", n)
	}
	if n, err := b.Requeue(t.Context(), claimed); n != 0 || err != nil {
		t.Errorf("Requeue again = %d, %v, want none left", n, err)
	}
	m.armed.Store(true)
	_, err = b.Delete(t.Context(), jobqueue.Filter{})
	wants(t, err, jobqueue.ErrUnavailable, "")
}

// Nor is a value: whoever deletes it would be told that somebody else has.
func TestSetValueUnanswered(t *testing.T) {
	t.Parallel()
	m := newMute(t, private(t).Socket())
	b := open(t, queueredis.Options{URL: m.URL})
	v, ok, err := b.SetValue(t.Context(), jobqueue.Value{Key: "k", Data: []byte("v")})
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	m.armed.Store(true)
	_, ok, err = b.SetValue(t.Context(), jobqueue.Value{Key: "k", Version: v.Version})
	wants(t, err, jobqueue.ErrUnavailable, "")
	if ok {
		t.Error("SetValue says that it was done, which nobody can know")
	}
	if all, err := b.Values(t.Context(), ""); err != nil || len(all) > 0 {
		t.Errorf("Values = %v, %v, want none left", all, err)
	}
}

// manyWants fills the queue work and one that a Pop of all these wants asks for last, in a script of its own.
func manyWants(t *testing.T, b jobqueue.Backend) (wants []jobqueue.Want, last jobqueue.Name) {
	t.Helper()
	last = jobqueue.Name{Domain: "wiki", Type: "last"}
	r := jobs(5, 10)
	for i := range r[2:] {
		r[i+2].Name = last
	}
	push(t, b, r)
	if _, err := b.Settle(t.Context(), jobqueue.Outcome{Claim: &jobqueue.Claim{ID: "1"}, Do: jobqueue.ActionDone}); err != nil { // The server knows the script.
		t.Fatal(err)
	}
	wants = []jobqueue.Want{{Name: work, Max: 1}}
	for i := range 499 {
		wants = append(wants, jobqueue.Want{Name: jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: "none"}, Max: 1})
	}
	return append(wants, jobqueue.Want{Name: last, Max: 1}), last
}

// A Pop takes a second script when there are many queues. When the answer to that is lost, its repeat gets the same job and not one more,
// which nobody would know of.
func TestPopUnansweredMidway(t *testing.T) {
	t.Parallel()
	m := newMute(t, private(t).Socket())
	b := open(t, queueredis.Options{URL: m.URL})
	wants, last := manyWants(t, b)
	m.then = func() { m.armed.Store(true) }
	m.word.Store(&last.Type)
	claims, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, wants...)
	if m.word.Load() != nil {
		t.Fatal("no answer was lost")
	}
	if err != nil || len(claims) != 2 {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
	c, err := b.Counts(t.Context(), last)
	if err != nil || c[0].Ready != 2 || c[0].Claimed != 1 {
		t.Errorf("Counts = %+v, %v, want one claim, and two jobs left", c, err)
	}
	must(t, settleAll(t.Context(), b, claims))
}

// When the lease of a Pop ends before its second script, nothing is added to it: its token would be held though a job of it has been given back.
func TestPopLapsedMidway(t *testing.T) {
	t.Parallel()
	s := private(t)
	m := newMute(t, s.Socket())
	b, other := open(t, queueredis.Options{URL: m.URL}), open(t, queueredis.Options{URL: s.URL})
	wants, last := manyWants(t, b)
	m.then = func() { // The claim of the first script ends, though it is given a new lease.
		for range 3 {
			b.Shift(70 * time.Minute)
			other.Shift(70 * time.Minute)
			if _, err := other.Maintain(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	m.word.Store(&last.Type)
	claims, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, wants...)
	if m.word.Load() != nil {
		t.Fatal("there was one script")
	}
	if err != nil || len(claims) == 0 {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
	if lost, err := b.Extend(t.Context(), time.Hour, claims[0].Token); err != nil || len(lost) != 1 {
		t.Errorf("Extend = %v, %v, want the claim to be lost", lost, err)
	}
	c, err := other.Counts(t.Context(), work, last)
	if err != nil || c[0].Claimed+c[1].Claimed != 0 || c[0].Ready+c[1].Ready != 5 {
		t.Errorf("Counts = %+v, %v, want 5 ready jobs", c, err)
	}
}
