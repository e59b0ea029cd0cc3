//go:build unix

// Package redistest runs Redis servers for tests.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue/internal/child"
)

// Environment names a server to use instead of a private one: its URL, of a user that may do everything.
const Environment = "JOBQUEUE_TEST_REDIS"

// A Server is a private one, which keeps its files in a directory of its own and listens on a socket there.
type Server struct {
	URL  string
	Addr string // host:port of one that is part of a Cluster or watched by Sentinels

	dir      string
	settings []string
	args     []string       // of the program, after the file
	process  *child.Process // nil if it does not run
}

// Start starts a server, with settings such as "maxmemory 10mb", or without any takes the one that [Environment] names.
// The caller stops it. A server begins with appendonly yes and without snapshots.
func Start(settings ...string) (*Server, error) {
	if u := os.Getenv(Environment); u != "" && len(settings) == 0 {
		return &Server{URL: u}, nil
	}
	return Private(settings...)
}

// Private starts a server of this process's own, which it may fill and kill.
func Private(settings ...string) (*Server, error) { return private(&Server{settings: settings}) }

func private(s *Server) (_ *Server, err error) {
	// Sockets have short names, so it is not in whatever $TMPDIR is.
	if s.dir, err = os.MkdirTemp("/tmp", "jobqueue-redis"); err != nil {
		return nil, err
	}
	s.URL = "unix://" + s.Socket()
	if err = s.Restart(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Socket returns the path of the socket of a private server.
func (s *Server) Socket() string { return filepath.Join(s.dir, "s") }

// Dir returns the directory of a private server.
func (s *Server) Dir() string { return s.dir }

// Restart starts the server after [Server.Kill], with more settings, and waits until it takes commands.
func (s *Server) Restart(settings ...string) error {
	if s.process != nil {
		return errors.New("the server runs")
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if program, err = exec.LookPath("valkey-server"); err != nil {
			return fmt.Errorf("no Redis server is installed: install Debian's package redis-server, or name one in %s", Environment)
		}
	}
	conf := append([]string{
		"port 0", "unixsocket " + s.Socket(), "dir " + s.dir, "daemonize no", "loglevel warning",
		"appendonly yes", "appendfsync everysec", `save ""`, "maxmemory-policy noeviction",
	}, append(s.settings[:len(s.settings):len(s.settings)], settings...)...)
	file := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	p, err := child.Start(exec.Command(program, append([]string{file}, s.args...)...), nil, syscall.SIGKILL, s.ready)
	if err != nil {
		return err
	}
	s.process = p
	return nil
}

// ready reports whether the server takes commands.
func (s *Server) ready(ctx context.Context) error {
	c := s.Client()
	defer c.Close()
	if err := c.Ping(ctx).Err(); err != nil && !strings.HasPrefix(err.Error(), "NOAUTH") {
		return err
	}
	return nil
}

// Client returns a client of the server, which the caller closes.
func (s *Server) Client() *redis.Client {
	o, err := redis.ParseURL(s.URL)
	if err != nil {
		panic(fmt.Sprintf("redistest: %s is not the URL of a server: %v", Environment, err))
	}
	return redis.NewClient(o)
}

// Kill ends the server as a crash does. It fails for one that is not private.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

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

// Pause stops the process of the server until [Server.Continue].
func (s *Server) Pause() error { return s.process.Signal(syscall.SIGSTOP) }

// Continue lets a stopped server go on.
func (s *Server) Continue() error { return s.process.Signal(syscall.SIGCONT) }

// Stop ends the server and removes its files. One that is not private is left alone.
func (s *Server) Stop() (err error) {
	if s.dir == "" {
		return nil
	}
	if s.process != nil {
		err = s.end(syscall.SIGKILL)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
