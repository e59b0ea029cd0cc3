package queueredis_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// A server that loads its append-only file is not said to keep none.
func TestCheckedWhileLoading(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	// A server that loads answers after every 1024 commands.
	do(t, c, "EVAL", "for i = 1, 60000 do redis.call('SET', i, i) end return 1", 0)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- s.Restart("key-load-delay 200") }()
	for says := ""; !strings.Contains(says, "loading:1"); {
		says, _ = c.Info(t.Context(), "persistence").Result()
	}
	var log bytes.Buffer
	_, err := queueredis.Open(t.Context(), &queueredis.Options{URL: s.URL, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	wants(t, err, jobqueue.ErrUnavailable, "is loading its data")
	if log.Len() > 0 {
		t.Errorf("it is warned of: %s", &log)
	}
	do(t, c, "CONFIG", "SET", "key-load-delay", 0)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
}
