package queueredis_test

import (
	"context"
	"net"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// Options that lead to a server of another kind, or to nobody, say so.
func TestMisled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	own, err := redistest.Private("bind 127.0.0.1", "port "+port)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	sentinels := startSentinels(t)
	for _, c := range []struct {
		o    queueredis.Options
		says string
	}{
		{queueredis.Options{Addrs: []string{addr}}, "is of no Cluster: give its url, or a master if this is a Sentinel"},
		{queueredis.Options{Addrs: sentinels.Addrs, Master: "nobody"}, "the Sentinels know no master of that name"},
		{queueredis.Options{URL: "redis://ann@" + addr}, `user "ann" needs a password`},
		{queueredis.Options{URL: own.URL, User: "ann"}, `user "ann" needs a password`},
		{queueredis.Options{Addrs: sentinels.Addrs, Master: "main", SentinelUser: "ann"}, `sentinelUser "ann" needs a password`},
	} {
		b, err := queueredis.Open(context.Background(), &c.o)
		if err == nil {
			b.Close()
		}
		wants(t, err, jobqueue.ErrInvalid, c.says)
	}
}
