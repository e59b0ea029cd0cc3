// Guestbook is a small web application that runs the jobs of its sites itself, after its replies, with neither a
// daemon nor cron. Who signs a book is greeted by a job, and another one counts the entries; once a day a digest is made.
//
//	go run ./examples/ondemand --farm examples/ondemand/farm.yaml
//
// and then http://localhost:8080/cats/. Start as many replicas as you like, each with an --addr of its own: a site is run by one of
// them at a time, and not more often than the farm file says.
//
// With --exec the work is done in processes of its own, which the web server starts and need not outlive. With GUESTBOOK_SECRET in the
// environment a remote cron may call /run/cats, with the secret as bearer, and /status tells whoever asks from this machine what runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// settings are what the command line says.
type settings struct {
	farm, book, addr string
	exec             bool
	domain           string // to be run once
}

// run runs a command line and returns its exit status.
func run(args []string, out, log io.Writer) int {
	var s settings
	f := flag.NewFlagSet("guestbook", flag.ContinueOnError)
	f.SetOutput(log)
	f.StringVar(&s.farm, "farm", "farm.yaml", "the farm `file`")
	f.StringVar(&s.book, "book", "guestbook.db", "the `file` of the entries")
	f.StringVar(&s.addr, "addr", "localhost:8080", "where to listen, an `address`")
	f.BoolVar(&s.exec, "exec", false, "do the work in processes of its own")
	f.StringVar(&s.domain, "run", "", "run this `domain` once and end, as --exec does")
	if f.Parse(args) != nil {
		return 2
	}
	if f.NArg() > 0 {
		fmt.Fprintf(log, "guestbook: unexpected argument %q\n", f.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.do(ctx, out); err != nil {
		fmt.Fprintln(log, "guestbook:", err)
		return 1
	}
	return 0
}

func (s *settings) do(ctx context.Context, out io.Writer) (err error) {
	site, err := open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	if s.domain != "" {
		return site.once(ctx, s.domain)
	}
	// What died with its process, of this replica or another, is not forgotten.
	if err := site.runs.Recover(ctx); err != nil {
		return err
	}
	return serve(ctx, s.addr, site.handler(), out)
}

// serve serves until ctx ends, and then answers who has asked.
func serve(ctx context.Context, addr string, h http.Handler, out io.Writer) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s/\n", l.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(patience)
}
