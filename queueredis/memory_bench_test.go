package queueredis_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// BenchmarkMemory measures how much memory a waiting job takes besides its parameters, when a thousand
// are pushed at a time and one at a time, and what is left of one for a while when it has run.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := private(b)
			c := admin(b, s)
			q := open(b, queueredis.Options{URL: s.URL})
			const all, size = 50_000, 200
			before := used(b, c)
			params := 0
			for range all / n {
				r := jobs(n, size)
				for i := range r {
					params += len(r[i].Params)
				}
				if _, err := q.Push(b.Context(), uuid.New(), r); err != nil {
					b.Fatal(err)
				}
			}
			waiting := used(b, c)
			b.ReportMetric(float64(waiting-before-params)/all, "bytes/waiting")
			for {
				claims, err := popAll(b.Context(), q, n)
				if err == nil {
					err = settleAll(b.Context(), q, claims)
				}
				if err != nil {
					b.Fatal(err)
				}
				if len(claims) == 0 {
					break
				}
			}
			b.ReportMetric(float64(used(b, c)-before)/all, "bytes/remembered")
			b.ReportMetric(0, "ns/op")
			if n, err := q.Delete(b.Context(), jobqueue.Filter{}); n != 0 || err != nil {
				b.Fatal(n, err)
			}
		})
	}
}

func used(b *testing.B, c *redis.Client) (n int) {
	info, err := c.Info(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		fmt.Sscanf(line, "used_memory_dataset:%d", &n)
	}
	return n
}
