package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// BenchmarkLayoutCopy compares the backend's statements for pushes, which take arrays, with COPY into the same tables. Each batch
// is one transaction of two round trips and the statements that a push of jobs without digests or roots makes, or of as few as the driver makes of COPY.
func BenchmarkLayoutCopy(b *testing.B) {
	for _, bytes := range []int{100, 2048} {
		for _, size := range []int{1000, 10_000} {
			for _, how := range []struct {
				name string
				push func(context.Context, *pgx.Conn, [][]byte) error
			}{{"unnest", pushArrays}, {"copy", pushCopy}} {
				b.Run(fmt.Sprintf("%dx%dB/%s", size, bytes, how.name), func(b *testing.B) {
					schema := newSchema(b)
					m := newMeter(b, schema)
					c, err := openSchema(b, &postgres.Options{Schema: schema}).Conn(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					defer c.Close(context.Background())
					var params [][]byte
					for _, r := range incompressible(size, bytes) {
						params = append(params, r.Params)
					}
					err = how.push(b.Context(), c, params)
					m.start()
					for range b.N {
						if err == nil {
							err = how.push(b.Context(), c, params)
						}
					}
					m.stop()
					if err != nil {
						b.Fatal(err)
					}
					m.report(b.N * size)
				})
			}
		}
	}
}

// numbers begins a transaction and reserves numbers in it.
func numbers(ctx context.Context, c *pgx.Conn, n int) (ids []int64, err error) {
	first := &pgx.Batch{}
	first.Queue("begin isolation level read committed")
	first.Queue(postgres.Statements["number_reserve"], n).Query(func(rows pgx.Rows) error {
		var from, many int64
		_, err := pgx.ForEachRow(rows, []any{&from, &many}, func() error {
			for i := range many {
				ids = append(ids, from+i)
			}
			return nil
		})
		return err
	})
	return ids, c.SendBatch(ctx, first).Close()
}

func pushArrays(ctx context.Context, c *pgx.Conn, params [][]byte) error {
	n := len(params)
	ids, err := numbers(ctx, c, n)
	if err != nil {
		return err
	}
	queues, times := make([]int64, n), make([]int64, n)
	now := time.Now().UnixMicro()
	for i := range n {
		queues[i], times[i] = 1, now
	}
	rest := &pgx.Batch{}
	rest.Queue(postgres.Statements["job_add_plain"], ids, queues, times, params)
	rest.Queue(postgres.Statements["ready_push"], ids, queues, times)
	rest.Queue("commit")
	return c.SendBatch(ctx, rest).Close()
}

func pushCopy(ctx context.Context, c *pgx.Conn, params [][]byte) error {
	ids, err := numbers(ctx, c, len(params))
	if err != nil {
		return err
	}
	now := time.Now().UnixMicro()
	_, err = c.CopyFrom(ctx, pgx.Identifier{"job"}, []string{"id", "queue", "pushed", "params"},
		pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) { return []any{ids[i], int64(1), now, params[i]}, nil }))
	if err == nil {
		_, err = c.CopyFrom(ctx, pgx.Identifier{"ready"}, []string{"queue", "position", "job", "since"},
			pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) { return []any{int64(1), ids[i], ids[i], now}, nil }))
	}
	if err == nil {
		_, err = c.Exec(ctx, "commit")
	}
	return err
}
