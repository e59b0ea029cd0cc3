package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

const (
	notifyPause = 10 * time.Millisecond // between two notifications of one process
	testEvery   = 30 * time.Second      // how often it is tested that they get through
	listenAgain = time.Second           // after the connection was lost
)

// A watch tells where work may have arrived. Whoever commits a transaction that makes jobs ready
// notifies the others, not one by one and not in the transaction, where all of the server's would wait for each other. A connection listens
// while somebody waits. Where notifications do not get through, as behind a pooler that gives
// connections to transactions, nobody is told anything, and callers look by themselves.
type watch struct {
	config  *config
	channel string
	id      string        // of this one in what it tells
	told    func(error)   // once, when notifications do not get through
	longest time.Duration // that one may take
	silence time.Duration // after they did not get through, before it is tried again
	send    func(context.Context, string) error
	ctx     context.Context
	close   context.CancelFunc
	ended   sync.WaitGroup

	bell  queuedb.Bell
	dirty chan struct{} // holds one: others must be told

	mu       sync.Mutex
	listens  bool
	notifies bool
	news     queuedb.News // for the others
}

func newWatch(s *store, told func(error)) *watch {
	h := fnv.New64a()
	h.Write([]byte(s.config.schema))
	w := &watch{config: s.config, channel: "jobqueue_" + hex.EncodeToString(h.Sum(nil)), id: uuid.NewString(), told: told, longest: 5 * time.Second, silence: time.Minute, dirty: make(chan struct{}, 1)}
	w.ctx, w.close = context.WithCancel(context.Background())
	w.send = func(ctx context.Context, payload string) error {
		return s.exec(ctx, "select pg_notify($1, $2)", w.channel, payload)
	}
	return w
}

// Wait implements [jobqueue.Waiter]. It names the queues of pushes, and none where other calls have made jobs
// ready. It does not see the commit of a transaction with a [Backend.PushTx].
func (b *Backend) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	w := b.watch
	w.mu.Lock()
	if !w.listens && w.ctx.Err() == nil {
		w.listens = true
		w.ended.Go(w.listen)
	}
	w.mu.Unlock()
	return w.bell.Wait(ctx, w.ctx.Done())
}

// wrote notes that this process has committed a transaction that made jobs of some queues ready, or of any.
func (w *watch) wrote(names ...jobqueue.Name) {
	w.bell.Ring(names...)
	w.mu.Lock()
	w.news.Add(names...)
	if !w.notifies && w.ctx.Err() == nil {
		w.notifies = true
		w.ended.Go(w.notify)
	}
	w.mu.Unlock()
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// notify tells the others, at most once in notifyPause.
func (w *watch) notify() {
	for {
		select {
		case <-w.dirty:
		case <-w.ctx.Done():
			return
		}
		w.mu.Lock()
		news := w.news
		w.news = queuedb.News{}
		w.mu.Unlock()
		// It is a hint: after an error they look by themselves.
		w.send(w.ctx, payload(w.id, news.Names()))
		if !w.pause(notifyPause) {
			return
		}
	}
}

// pause reports whether it went on until its end.
func (w *watch) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// listen wakes those who wait when the others tell.
func (w *watch) listen() {
	told := false
	for {
		err := w.listenOnce()
		if w.ctx.Err() != nil {
			return
		}
		// What was told meanwhile is lost.
		w.bell.Ring()
		pause := listenAgain
		if err == errSilent {
			pause = w.silence
			if !told && w.told != nil {
				w.told(err)
			}
			told = true
		}
		if !w.pause(pause/2 + rand.N(pause)) {
			return
		}
	}
}

var errSilent = errors.New("notifications do not get through; runners look for work by themselves")

// listenOnce listens on a connection of its own until that fails.
func (w *watch) listenOnce() error {
	c, err := w.config.dial(w.ctx)
	if err != nil {
		return err
	}
	defer c.end()
	if _, err := c.Exec(w.ctx, "listen "+pgx.Identifier{w.channel}.Sanitize()); err != nil {
		return err
	}
	w.bell.Ring() // What was told before is lost.
	for n := 0; ; n++ {
		if err := w.test(c, fmt.Sprintf(testPrefix+"%d %d", c.PgConn().PID(), n)); err != nil {
			return err
		}
		if err := w.hear(c, testEvery, ""); !pgconn.Timeout(err) {
			return err
		}
	}
}

// test sends a notification over another connection and waits for it.
func (w *watch) test(c *conn, payload string) error {
	if err := w.send(w.ctx, payload); err != nil {
		return err
	}
	err := w.hear(c, w.longest, payload)
	if pgconn.Timeout(err) && w.ctx.Err() == nil {
		return errSilent
	}
	return err
}

// hear tells those who wait of each notification of others, until the one that it is told to wait for, if that is not "".
func (w *watch) hear(c *conn, patience time.Duration, until string) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	for {
		heard := c.heard
		c.heard = nil
		found := false
		for _, p := range heard {
			found = found || p == until
			if id, names := readPayload(p); id != w.id && !strings.HasPrefix(p, testPrefix) {
				w.bell.Ring(names...)
			}
		}
		if found && until != "" {
			return nil
		}
		if err := c.PgConn().WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// end ends what runs in the background.
func (w *watch) end() {
	w.mu.Lock()
	w.close()
	w.mu.Unlock()
	w.ended.Wait()
}
