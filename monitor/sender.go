package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxQueued = 10_000          // messages that wait to be sent
	sendTime  = 2 * time.Second // for one of them
	retryTime = 5 * time.Second // after a failure; what comes meanwhile is dropped
	closeTime = time.Second     // for what there is at the end
	tellTime  = 10 * time.Minute
)

// A sender sends messages one after the other, each once, from a goroutine of its own.
type sender struct {
	send    func(ctx context.Context, message []byte) error
	queue   chan []byte
	failed  func(error)
	told    time.Time // when that was called
	dropped atomic.Int64
	ctx     context.Context // of what is sent
	cancel  context.CancelFunc
	closing chan struct{}
	ended   chan struct{}
	once    sync.Once
}

func newSender(send func(context.Context, []byte) error, failed func(error)) *sender {
	s := &sender{send: send, failed: failed, queue: make(chan []byte, maxQueued), closing: make(chan struct{}), ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

// offer takes a message if there is room.
func (s *sender) offer(message []byte) {
	select {
	case s.queue <- message:
	default:
		s.dropped.Add(1)
	}
}

func (s *sender) run() {
	defer close(s.ended)
	for {
		select {
		case m := <-s.queue:
			s.one(m)
		case <-s.closing:
			for {
				select {
				case m := <-s.queue:
					s.one(m)
				default:
					return
				}
			}
		}
	}
}

func (s *sender) one(message []byte) {
	ctx, cancel := context.WithTimeout(s.ctx, sendTime)
	defer cancel()
	err := s.ctx.Err()
	if err == nil {
		err = s.send(ctx, message)
	}
	if err == nil {
		return
	}
	s.dropped.Add(1)
	if s.failed != nil && (s.told.IsZero() || time.Since(s.told) >= tellTime) {
		s.told = time.Now()
		s.failed(err)
	}
}

// Dropped is of [Sink].
func (s *sender) Dropped() int64 { return s.dropped.Load() }

func (s *sender) close() {
	s.once.Do(func() {
		close(s.closing)
		timer := time.AfterFunc(closeTime, s.cancel)
		defer timer.Stop()
		<-s.ended
		s.cancel()
	})
}

// A pause lets what fails rest, so that what waits behind it is dropped at once instead of after a time-out each.
type pause struct{ until time.Time }

func (p *pause) over() error {
	if time.Now().Before(p.until) {
		return errResting
	}
	return nil
}

func (p *pause) failed() { p.until = time.Now().Add(retryTime) }

var errResting = errors.New("the listener could not be reached a moment ago")

// datagrams returns what sends each message as one datagram. The name is resolved when there is something to be
// sent, and again after a failure, such as that nobody listens.
func datagrams(addr string) func(context.Context, []byte) error {
	var conn net.Conn
	var rest pause
	return func(ctx context.Context, message []byte) error {
		if conn == nil {
			if err := rest.over(); err != nil {
				return err
			}
			c, err := (&net.Dialer{}).DialContext(ctx, "udp", addr)
			if err != nil {
				rest.failed()
				return err
			}
			conn = c
		}
		deadline, _ := ctx.Deadline()
		conn.SetWriteDeadline(deadline)
		_, err := conn.Write(message)
		if err != nil {
			conn.Close()
			conn = nil
			rest.failed()
		}
		return err
	}
}

// posts returns what posts each message as a form.
func posts(to string) func(context.Context, []byte) error {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var rest pause
	return func(ctx context.Context, message []byte) error {
		if err := rest.over(); err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(string(message)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := client.Do(req)
		if err != nil {
			rest.failed()
			if e, ok := errors.AsType[*url.Error](err); ok {
				err = e.Err // without the address, which may have a password
			}
			return err
		}
		defer res.Body.Close()
		io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
		if res.StatusCode/100 != 2 {
			return fmt.Errorf("the monitor answers %s", res.Status)
		}
		return nil
	}
}
