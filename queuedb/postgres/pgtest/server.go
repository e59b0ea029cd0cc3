//go:build unix

// Package pgtest runs a PostgreSQL server for tests.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/internal/child"
)

// Environment names a server to use instead of a private one: its URL, of a role that may make schemas.
const Environment = "JOBQUEUE_TEST_POSTGRES"

// A Server is a private one, which keeps its files in a directory of its own and listens on a socket there.
type Server struct {
	URL string // of the database to use, without a password

	programs string // directory of initdb and postgres
	dir      string
	owner    *syscall.Credential // nil is this process's own
	process  *child.Process      // nil if it does not run
	settings []string
	spares   spares
}

// Start starts a server, with settings such as "max_connections=50", or takes the one that [Environment] names. The caller stops it.
func Start(settings ...string) (*Server, error) {
	if u := os.Getenv(Environment); u != "" {
		return &Server{URL: u}, nil
	}
	s := &Server{settings: settings}
	var err error
	if s.programs, err = programs(); err != nil {
		return nil, err
	}
	// Sockets have short names, so it is not in whatever $TMPDIR is.
	if s.dir, err = os.MkdirTemp("/tmp", "jobqueue-pg"); err != nil {
		return nil, err
	}
	if err = s.create(); err == nil {
		err = s.Restart()
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Private reports whether the server is this process's own, which it may kill.
func (s *Server) Private() bool { return s.dir != "" }

// programs returns the directory of the newest PostgreSQL that is installed.
func programs() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			return filepath.Dir(p), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("no PostgreSQL server is installed: install Debian's package postgresql, or name one in %s", Environment)
	}
	version := func(p string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// create makes the files. A server refuses to run as root, so then they belong to the user postgres.
func (s *Server) create() error {
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	cmd := s.command("initdb", "--pgdata="+s.data(), "--username=jobqueue", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.URL = (&url.URL{
		Scheme: "postgres", User: url.User("jobqueue"), Path: "/postgres",
		RawQuery: url.Values{"host": {s.dir}}.Encode(),
	}).String()
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, program), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	return cmd
}

// Restart starts the server after [Server.Kill], and waits until it takes connections.
func (s *Server) Restart() error {
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses="}
	for _, set := range append([]string{"max_connections=400", "log_min_messages=panic"}, s.settings...) {
		args = append(args, "-c", set)
	}
	p, err := child.Start(s.command("postgres", args...), s.owner, syscall.SIGQUIT, s.ready)
	if err != nil {
		return err
	}
	s.process = p
	return nil
}

// ready reports whether the server takes connections.
func (s *Server) ready(ctx context.Context) error {
	c, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// Kill ends the server as a crash does: what was not synced is lost. It fails for one that is not private.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(how syscall.Signal) error {
	if s.process == nil {
		return errors.New("no private server runs")
	}
	if err := s.process.End(how); err != nil {
		return err
	}
	s.process = nil
	return nil
}

// Stop ends the server and removes its files. One that is not private is left alone.
func (s *Server) Stop() (err error) {
	if s.dir == "" {
		return s.dropSpares()
	}
	if s.process != nil {
		err = s.end(syscall.SIGQUIT)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Schema returns the name of a schema that nobody has used, and what drops it.
func (s *Server) Schema() (name string, drop func() error) {
	name = "test_" + strings.ToLower(fmt.Sprintf("%x_%x", os.Getpid(), time.Now().UnixNano()))
	return name, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), child.Patience)
		defer cancel()
		c, err := pgx.Connect(ctx, s.URL)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		_, err = c.Exec(ctx, "set client_min_messages = warning; drop schema if exists "+pgx.Identifier{name}.Sanitize()+" cascade", pgx.QueryExecModeSimpleProtocol)
		return err
	}
}
