package service_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue/service"
)

// link holds a connection to a hub and passes on what it says. That the hub hangs up is an error, after
// which the set calls it again.
func link(ctx context.Context, addr string, heard chan<- string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		heard <- lines.Text()
	}
	if ctx.Err() != nil {
		return nil
	}
	return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

// hub greets everybody, and hangs up on the first.
func hub(l net.Listener) {
	for n := 1; ; n++ {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "hello %d\n", n)
		if n == 1 {
			conn.Close()
		} else {
			defer conn.Close()
		}
	}
}

// Two services and something to be done now and then go on beside each other. A connection that drops is made anew,
// and the others do not notice.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	set := &service.Set{}
	heard := make(chan string)
	set.Add(service.Service{Name: "link", Run: func(ctx context.Context, _ string) error {
		return link(ctx, l.Addr().String(), heard)
	}})
	set.Add(service.Service{Name: "hub", Run: func(ctx context.Context, _ string) error {
		defer context.AfterFunc(ctx, func() { l.Close() })()
		hub(l)
		return nil
	}})
	var ticks atomic.Int64
	set.Add(service.Service{Name: "digest", Every: 10 * time.Millisecond, Run: func(context.Context, string) error {
		ticks.Add(1)
		return nil
	}})

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- set.Run(ctx, service.Options{Logger: slog.New(slog.DiscardHandler)})
	}()
	fmt.Println(<-heard)
	fmt.Println(<-heard)
	for _, st := range set.States() {
		fmt.Printf("%s: %d calls, %q\n", st.Name, min(st.Calls, 2), st.Error)
	}
	cancel()
	fmt.Println(<-ended, ticks.Load() > 10)
	// Output:
	// hello 1
	// hello 2
	// digest: 2 calls, ""
	// hub: 1 calls, ""
	// link: 2 calls, "unexpected EOF"
	// <nil> true
}
