package postgres_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

const backlog = 20 // batches that wait before pushes and claims are measured together

// incompressible makes records with so many bytes of parameters each.
func incompressible(n, bytes int) []jobqueue.Record {
	rs := make([]jobqueue.Record, n)
	for i := range rs {
		noise := make([]byte, bytes)
		rand.Read(noise)
		text := base64.RawStdEncoding.EncodeToString(noise)
		rs[i] = jobqueue.Record{Name: queue, Params: fmt.Appendf(nil, `{"data":%q}`, text[:bytes-len(`{"data":""}`)])}
	}
	return rs
}

// layouts opens each layout in a schema.
var layouts = []struct {
	name string
	open func(b *testing.B, schema string) layout
}{
	{"ours", func(b *testing.B, schema string) layout {
		return ours(b, with("application_name", schema), &postgres.Options{Schema: schema})
	}},
	{"bare", func(b *testing.B, schema string) layout { return bare(b, with("application_name", schema), schema) }},
	{"one", func(b *testing.B, schema string) layout {
		makeOneTable(b, schema, 100)
		return one(b, with("application_name", schema), schema, nil)
	}},
	{"one50", func(b *testing.B, schema string) layout {
		makeOneTable(b, schema, 50)
		return one(b, with("application_name", schema), schema, nil)
	}},
}

func (l layout) pushes(batches int, rs []jobqueue.Record) error {
	for range batches {
		if err := l.push(rs); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) drain(batches int) error {
	for range batches {
		settle, err := l.claim(batch)
		if err == nil {
			err = settle()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// together pushes, and claims and settles what was pushed a backlog ago, at the same time.
func (l layout) together(batches int, rs []jobqueue.Record) error {
	pushed, failed := make(chan struct{}, batches), make(chan error, 1)
	go func() {
		defer close(pushed)
		for range batches {
			if err := l.push(rs); err != nil {
				failed <- err
				return
			}
			pushed <- struct{}{}
		}
	}()
	for range pushed {
		if err := l.drain(1); err != nil {
			for range pushed { // until the pushes have ended
			}
			return err
		}
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// BenchmarkLayout compares the backend with a single table, each with 1,000 jobs at a time: pushed, claimed and settled, and both at once.
func BenchmarkLayout(b *testing.B) {
	for _, bytes := range []int{100, 1500, 2048} {
		for _, work := range []string{"push", "drain", "together"} {
			for _, lay := range layouts {
				b.Run(fmt.Sprintf("%s/%dB/%s", work, bytes, lay.name), func(b *testing.B) {
					schema := newSchema(b)
					m := newMeter(b, schema)
					l := lay.open(b, schema)
					rs := incompressible(batch, bytes)
					// One batch goes through before, so that the connections and their statements are ready.
					waiting, through, do := 1, 0, func() error { return l.pushes(b.N, rs) }
					switch work {
					case "drain":
						waiting, through, do = 1+b.N, 1, func() error { return l.drain(b.N) }
					case "together":
						waiting, through, do = 1+backlog, 1, func() error { return l.together(b.N, rs) }
					}
					err := errors.Join(l.pushes(waiting, rs), l.drain(through))
					if err == nil {
						m.start()
						err = do()
						m.stop()
					}
					l.close()
					if err != nil {
						b.Fatal(err)
					}
					m.report(b.N * batch)
					m.left(schema, (b.N+1)*batch)
				})
			}
		}
	}
}

// BenchmarkLayoutHeld claims 1,000 jobs at a time after 200,000 have gone through, vacuumed, with and without a transaction that has been
// open since before. The processes that claim have just begun.
func BenchmarkLayoutHeld(b *testing.B) {
	const passed = 200
	for _, held := range []string{"none", "held"} {
		for _, name := range []string{"ours", "one", "one+cursor"} {
			b.Run(held+"/"+name, func(b *testing.B) {
				schema := newSchema(b)
				m := newMeter(b, schema)
				makeOneTable(b, schema, 100)
				var from *cursor
				if name == "one+cursor" {
					from = &cursor{}
				}
				open := func() layout {
					url := with("application_name", schema)
					if name == "ours" {
						return ours(b, url, &postgres.Options{Schema: schema})
					}
					return one(b, url, schema, from)
				}
				if held == "held" {
					hold, err := raw(b, schema).BeginTx(b.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
					if err == nil {
						_, err = hold.Exec(b.Context(), "select count(*) from job")
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				rs := incompressible(batch, 100)
				l := open()
				err := errors.Join(l.pushes(backlog, rs), l.together(passed, rs), l.pushes(b.N, rs))
				l.close()
				m.closed(schema)
				m.exec("vacuum")
				before := touched(b, m.conn)
				l = open()
				m.start()
				for range b.N {
					if err == nil {
						_, err = l.claim(batch)
					}
				}
				m.stop()
				l.close()
				m.closed(schema)
				if err != nil {
					b.Fatal(err)
				}
				m.ReportMetric(float64(touched(b, m.conn)-before)/float64(b.N*batch), "buffers/job")
				m.ReportMetric(m.Elapsed().Seconds()*1e3/float64(b.N), "ms/claim")
				m.report(b.N * batch)
			})
		}
	}
}
