package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// meterOf returns a meter of a task's server: transactions of PostgreSQL, reads from sockets of Redis: what
// scripts call counts as commands, too.
func meterOf(ctx context.Context, t sample.Task) (meter, func(), error) {
	if t.Store == "postgres" {
		c, err := pgx.Connect(ctx, t.URL)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) (n float64, err error) {
			err = c.QueryRow(ctx, "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()").Scan(&n)
			return n, err
		}, func() { c.Close(ctx) }, nil
	}
	o, err := redis.ParseURL(t.URL)
	if err != nil {
		return nil, nil, err
	}
	c := redis.NewClient(o)
	return func(ctx context.Context) (float64, error) {
		text, err := c.Info(ctx, "stats").Result()
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(text) {
			if n, ok := strings.CutPrefix(line, "total_reads_processed:"); ok {
				return strconv.ParseFloat(strings.TrimSpace(n), 64)
			}
		}
		return 0, fmt.Errorf("the server does not say how often it has read from its clients")
	}, func() { c.Close() }, nil
}
