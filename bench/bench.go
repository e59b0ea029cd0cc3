package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// A bench has the servers, and collects what is measured.
type bench struct {
	quick  bool
	some   []section // that are measured
	dir    string    // for SQLite files
	pg     *pgtest.Server
	redis  *redistest.Server
	admin  *pgx.Conn
	client *redis.Client
	report report
	until  time.Time    // no more rounds of a row begin later
	names  atomic.Int64 // of databases and files so far

	mu        sync.Mutex // over admin, once there is more than one who makes databases
	templates map[string]bool
}

func newBench(ctx context.Context, quick bool, only string) (_ *bench, err error) {
	b := &bench{quick: quick, templates: map[string]bool{}}
	// What is measured are servers of its own, which nobody else uses.
	os.Unsetenv(pgtest.Environment)
	os.Unsetenv(redistest.Environment)
	if b.some, err = b.sections(only); err != nil {
		return nil, fmt.Errorf("--rows: %w", err)
	}
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
	if b.redis, err = redistest.Private(); err != nil {
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
