package config_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queuememory"
)

type closing func()

func (c closing) Close() error {
	c()
	return nil
}

// What is closed while a server says nothing is closed soon, whoever waits for it is told, and what the server says later is
// closed too.
func TestClosedWhileDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer, closed := make(chan struct{}), 0
		b := config.Lazy(func(context.Context) (jobqueue.Backend, io.Closer, error) {
			<-answer
			return queuememory.New(), closing(func() { closed++ }), nil
		})
		waited := make(chan error, 1)
		go func() {
			_, err := b.Counts(context.Background())
			waited <- err
		}()
		synctest.Wait()
		begun := time.Now()
		if err := b.Close(); err != nil || time.Since(begun) > 2*time.Second {
			t.Errorf("Close = %v after %v, want nil soon", err, time.Since(begun))
		}
		synctest.Wait()
		select {
		case err := <-waited:
			if !errors.Is(err, jobqueue.ErrUnavailable) {
				t.Errorf("a call that waited ends with %v, want an ErrUnavailable", err)
			}
		default:
			t.Error("a call waits for what is closed")
		}
		close(answer)
		synctest.Wait()
		if closed != 1 {
			t.Errorf("what was opened after Close was closed %d times, want once", closed)
		}
		if _, err := b.Counts(t.Context()); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Counts = %v after Close, want an ErrUnavailable", err)
		}
	})
}

// A server that stops to answer while it is connected to is tried anew, once it has had its time.
func TestDeafAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		b := config.Lazy(func(ctx context.Context) (jobqueue.Backend, io.Closer, error) {
			if tries++; tries == 1 {
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
				}
				return nil, nil, jobqueue.ErrUnavailable
			}
			return queuememory.New(), nil, nil
		})
		begun := time.Now()
		if _, err := b.Counts(context.Background()); !errors.Is(err, jobqueue.ErrUnavailable) || time.Since(begun) > time.Minute {
			t.Errorf("Counts = %v after %v, want an ErrUnavailable within a minute", err, time.Since(begun))
		}
		time.Sleep(2 * time.Second)
		b.Counts(context.Background())
		synctest.Wait()
		if _, err := b.Counts(context.Background()); err != nil {
			t.Errorf("Counts = %v, once the server answers", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}
