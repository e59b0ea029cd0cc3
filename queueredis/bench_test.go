package queueredis_test

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// BenchmarkServer measures how long the server computes for a job that is pushed, popped and settled with so many others.
// Unlike jobs per second that depends little on what else the machine does.
func BenchmarkServer(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s, err := redistest.Private()
			if err != nil {
				b.Fatal(err)
			}
			defer s.Stop()
			q := open(b, queueredis.Options{URL: s.URL})
			records := make([]jobqueue.Record, n)
			for i := range records {
				records[i].Name = jobqueue.Name{Domain: "bench", Type: "work"}
				records[i].Params = fmt.Appendf(nil, `{"page":%d,"title":"Main page","reason":"%070d"}`, i, i)
			}
			var claims [][]*jobqueue.Claim
			phase := func(name string, do func()) {
				before := busy(b, s)
				for range b.N {
					do()
				}
				b.ReportMetric(float64((busy(b, s)-before).Nanoseconds())/float64(n*b.N), name+"-ns/job")
			}
			phase("push", func() {
				if _, err := q.Push(b.Context(), uuid.New(), records); err != nil {
					b.Fatal(err)
				}
			})
			phase("pop", func() {
				c, err := q.Pop(b.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: records[0].Name, Max: n})
				if err != nil || len(c) != n {
					b.Fatalf("Pop = %d jobs, %v", len(c), err)
				}
				claims = append(claims, c)
			})
			phase("settle", func() {
				outcomes := make([]jobqueue.Outcome, n)
				for i, c := range claims[0] {
					outcomes[i] = jobqueue.Outcome{Claim: c, Do: jobqueue.ActionDone}
				}
				claims = claims[1:]
				if lost, err := q.Settle(b.Context(), outcomes...); err != nil || len(lost) > 0 {
					b.Fatalf("Settle = %d lost, %v", len(lost), err)
				}
			})
			b.ReportMetric(0, "ns/op")
		})
	}
}

var usedTime = regexp.MustCompile(`used_cpu_(?:user|sys)_main_thread:([\d.]+)`)

// busy returns how long the server has been computing.
func busy(b *testing.B, s *redistest.Server) (d time.Duration) {
	c := s.Client()
	defer c.Close()
	info, err := c.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range usedTime.FindAllStringSubmatch(info, -1) {
		sec, _ := strconv.ParseFloat(m[1], 64)
		d += time.Duration(sec * float64(time.Second))
	}
	return d
}

// BenchmarkDrain runs a queue empty, a thousand jobs at a time by a few goroutines.
func BenchmarkDrain(b *testing.B) {
	s, err := redistest.Private()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	q := open(b, queueredis.Options{URL: s.URL})
	const all, runners = 100_000, 3
	for b.Loop() {
		b.StopTimer()
		for range all / 1000 {
			if _, err := q.Push(b.Context(), uuid.New(), jobs(1000, 20)); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		var wait sync.WaitGroup
		for range runners {
			wait.Go(func() {
				for {
					claims, err := popAll(b.Context(), q, 1000)
					if err == nil {
						err = settleAll(b.Context(), q, claims)
					}
					if err != nil {
						b.Error(err)
					}
					if len(claims) == 0 {
						return
					}
				}
			})
		}
		wait.Wait()
	}
	b.ReportMetric(all*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
