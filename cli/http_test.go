//go:build unix

package cli_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// fetch asks a runner over its socket until what it answers matches, or with ! does not match any more.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] fetch socket path pattern")
	}
	want := regexp.MustCompile("(?m)" + args[2])
	socket := ts.MkAbs(args[0])
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	got := ""
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		res, err := client.Get("http://runner" + args[1])
		if err != nil {
			got = err.Error()
			continue // It may not have begun.
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if got = fmt.Sprintf("%d %s", res.StatusCode, body); err == nil && want.MatchString(got) != neg {
			return
		}
	}
	ts.Fatalf("%s still answers %s", args[1], got)
}
