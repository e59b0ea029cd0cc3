package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue/bench/sample"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// A bench has the servers, and collects what is measured.
type bench struct {
	quick  bool
	only   *regexp.Regexp
	dir    string // for SQLite files
	pg     *pgtest.Server
	redis  *redistest.Server
	admin  *pgx.Conn
	client *redis.Client
	report report
	names  int // of databases so far
}

func newBench(quick bool, only string) (_ *bench, err error) {
	b := &bench{quick: quick}
	if b.only, err = regexp.Compile(only); err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	ctx := context.Background()
	if b.dir, err = os.MkdirTemp("", "jobqueue-bench"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	// Durability is what the server has by default. A checkpoint in the middle of a measurement would be one system's bad luck.
	if b.pg, err = pgtest.Start("fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_wal_size=16GB",
		"checkpoint_timeout=1h", "shared_buffers=512MB", "max_connections=200"); err != nil {
		return nil, err
	}
	if b.admin, err = pgx.Connect(ctx, b.pg.URL); err != nil {
		return nil, err
	}
	if b.redis, err = redistest.Start(); err != nil {
		return nil, err
	}
	o, err := redis.ParseURL(b.redis.URL)
	if err != nil {
		return nil, err
	}
	b.client = redis.NewClient(o)
	b.report.Settings, err = b.settings(ctx)
	return b, err
}

func (b *bench) close() error {
	var errs []error
	if b.admin != nil {
		errs = append(errs, b.admin.Close(context.Background()))
	}
	if b.client != nil {
		errs = append(errs, b.client.Close())
	}
	if b.pg != nil {
		errs = append(errs, b.pg.Stop())
	}
	if b.redis != nil {
		errs = append(errs, b.redis.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// A place is an empty store.
type place struct {
	url  string
	drop func()
}

// fresh returns an empty store.
func (b *bench) fresh(ctx context.Context, store string) (place, error) {
	b.names++
	switch store {
	case "postgres":
		name := fmt.Sprintf("bench%d", b.names)
		if _, err := b.admin.Exec(ctx, "create database "+name); err != nil {
			return place{}, err
		}
		u, err := url.Parse(b.pg.URL)
		if err != nil {
			return place{}, err
		}
		u.Path = "/" + name
		return place{u.String(), func() { b.admin.Exec(context.Background(), "drop database "+name+" with (force)") }}, nil
	case "redis":
		if err := b.client.FlushAll(ctx).Err(); err != nil {
			return place{}, err
		}
		return place{b.redis.URL, func() {}}, nil
	case "sqlite":
		path := filepath.Join(b.dir, fmt.Sprintf("%d.db", b.names))
		return place{path, func() {
			for _, end := range []string{"", "-wal", "-shm"} {
				os.Remove(path + end)
			}
		}}, nil
	}
	return place{drop: func() {}}, nil
}

// start starts the process for a task.
func (b *bench) start(ctx context.Context, t sample.Task) (*exec.Cmd, *bytes.Buffer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	program := self
	if t.System == "riversqlite" {
		program = filepath.Join(filepath.Dir(self), "bench-riversqlite")
	}
	in, err := json.Marshal(t)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), worker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
	return cmd, &out, cmd.Start()
}

// measured does a task in a process of its own.
func (b *bench) measured(ctx context.Context, t sample.Task) (sample.Sample, error) {
	var s sample.Sample
	cmd, out, err := b.start(ctx, t)
	if err != nil {
		return s, err
	}
	if err := cmd.Wait(); err != nil {
		return s, fmt.Errorf("%s %s %s: %w", t.System, t.Store, t.Do, err)
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		return s, fmt.Errorf("%s %s %s: %w", t.System, t.Store, t.Do, err)
	}
	if s.Err != "" {
		return s, fmt.Errorf("%s %s %s: %s", t.System, t.Store, t.Do, s.Err)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.PeakMiB = float64(u.Maxrss) / 1024
	}
	return s, nil
}

// settings are what the measurements depend on.
func (b *bench) settings(ctx context.Context) (lines []string, err error) {
	lines = append(lines, machine())
	var version string
	if err := b.admin.QueryRow(ctx, "show server_version").Scan(&version); err != nil {
		return nil, err
	}
	line := "PostgreSQL " + version + ":"
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "checkpoint_timeout"} {
		var value string
		if err := b.admin.QueryRow(ctx, "select current_setting($1)", name).Scan(&value); err != nil {
			return nil, err
		}
		line += " " + name + "=" + value
	}
	lines = append(lines, line)
	info, err := b.client.Info(ctx, "server").Result()
	if err != nil {
		return nil, err
	}
	line = "Redis"
	for l := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(l, "redis_version:"); ok {
			line += " " + strings.TrimSpace(v) + ":"
		}
	}
	for _, name := range []string{"appendonly", "appendfsync", "save"} {
		v, err := b.client.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil, err
		}
		line += fmt.Sprintf(" %s=%q", name, v[name])
	}
	return append(lines, line, versions()), nil
}

// wait waits, or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
