package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// A place is an empty store.
type place struct {
	url  string
	drop func()
}

// fresh returns an empty store for a system; in Redis it is the one that all have in turn.
func (b *bench) fresh(ctx context.Context, system, store string) (place, error) {
	switch store {
	case "postgres":
		return b.database(ctx, system)
	case "redis":
		if err := b.client.FlushAll(ctx).Err(); err != nil {
			return place{}, err
		}
		return place{b.redis.URL, func() {}}, nil
	case "sqlite":
		path := filepath.Join(b.dir, fmt.Sprintf("%d.db", b.names.Add(1)))
		return place{path, func() {
			for _, end := range []string{"", "-wal", "-shm"} {
				os.Remove(path + end)
			}
		}}, nil
	}
	return place{drop: func() {}}, nil
}

// rest has Redis write its log anew now, and not within a measurement: that would be a single system's bad luck.
func (b *bench) rest(ctx context.Context, store string) error {
	if store != "redis" {
		return nil
	}
	if err := b.client.BgRewriteAOF(ctx).Err(); err != nil {
		return err
	}
	for {
		s, err := b.client.InfoMap(ctx, "persistence").Result()
		if err != nil {
			return err
		}
		if p := s["Persistence"]; p["aof_rewrite_in_progress"] == "0" && p["aof_rewrite_scheduled"] == "0" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// beside returns an empty store that is used beside others: requests to it are told from those to them.
func (b *bench) beside(ctx context.Context, system, store string) (place, error) {
	if store != "redis" {
		return b.fresh(ctx, system, store)
	}
	s, err := redistest.Private()
	if err != nil {
		return place{}, err
	}
	return place{s.URL, func() { s.Stop() }}, nil
}

// database makes a database with the tables of a system. What makes tables is done once, and not measured.
func (b *bench) database(ctx context.Context, system string) (place, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if system == "bare" {
		system = own
	}
	if template := "template_" + system; !b.templates[template] {
		at, err := b.create(ctx, template, "template0")
		if err != nil {
			return place{}, err
		}
		if _, err := b.measured(ctx, sample.Task{System: system, Store: "postgres", Do: "push", URL: at.url}); err != nil {
			return place{}, err
		}
		b.templates[template] = true
	}
	return b.create(ctx, fmt.Sprintf("bench%d", b.names.Add(1)), "template_"+system)
}

func (b *bench) create(ctx context.Context, name, template string) (place, error) {
	if _, err := b.admin.Exec(ctx, "create database "+name+" template "+template); err != nil {
		return place{}, err
	}
	u, err := url.Parse(b.pg.URL)
	if err != nil {
		return place{}, err
	}
	u.Path = "/" + name
	return place{u.String(), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.admin.Exec(context.Background(), "drop database "+name+" with (force)")
	}}, nil
}
