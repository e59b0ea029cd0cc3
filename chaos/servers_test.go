//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// A server is a store that can be killed, and stopped.
type server interface {
	Kill() error
	restart() error
	Stop() error

	// pause stops all of its processes until goOn. What was sent to it meanwhile is done then.
	pause(ctx context.Context) (goOn func() error, err error)
}

type redisServer struct{ *redistest.Server }

func (s redisServer) restart() error { return s.Restart() }

func (s redisServer) pause(context.Context) (func() error, error) { return s.Continue, s.Pause() }

type postgresServer struct{ *pgtest.Server }

func (s postgresServer) restart() error { return s.Restart() }

func (s postgresServer) pause(ctx context.Context) (func() error, error) {
	c, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	var file string
	if err := c.QueryRow(ctx, "select pg_read_file('postmaster.pid')").Scan(&file); err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(file, "\n")
	master, err := strconv.Atoi(line)
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(master, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	all := []int{master}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	for _, pid := range strings.Fields(string(children)) {
		if child, bad := strconv.Atoi(pid); bad == nil && syscall.Kill(child, syscall.SIGSTOP) == nil {
			all = append(all, child)
		}
	}
	return func() error {
		for _, pid := range all {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		return nil
	}, err
}

// serve starts the server of a place, which listens there, and makes the tables.
func (p place) serve(ctx context.Context) (server, error) {
	host, port, _ := strings.Cut(p.At, ":")
	if p.Kind == "redis" {
		s, err := redistest.Private("bind "+host, "port "+port, "appendfsync always")
		if err != nil {
			return nil, err
		}
		return redisServer{s}, nil
	}
	// The socket, by which the server is started, has the port in its name.
	s, err := pgtest.Start("listen_addresses="+host, "log_min_messages=panic")
	if err != nil {
		return nil, err
	}
	if port != "5432" || !s.Private() {
		return nil, errors.Join(fmt.Errorf("the server does not listen at %s", p.At), s.Stop())
	}
	return postgresServer{s}, postgres.Migrate(ctx, s.URL, nil)
}
