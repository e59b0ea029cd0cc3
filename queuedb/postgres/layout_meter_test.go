package postgres_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A meter measures what is done between start and stop: jobs per second, time of processors for each job, bytes of WAL for each without the images
// of whole pages that follow a checkpoint, and those apart. There is a checkpoint before, and none meanwhile.
type meter struct {
	*testing.B
	conn        *pgx.Conn
	before      string
	total, full int64
	cpu         time.Duration // of this process and of the server's sessions; 0 where that cannot be told
}

// newMeter has no timer run. Until the benchmark ends the server leaves tables and pages alone. It needs a superuser.
func newMeter(b *testing.B, schema string) *meter {
	b.StopTimer()
	m := &meter{B: b, conn: raw(b, schema)}
	m.settings("alter system set autovacuum = off", "alter system set checkpoint_timeout = '1h'", "alter system set max_wal_size = '32GB'")
	b.Cleanup(func() { m.settings("alter system reset all") })
	m.exec("create extension if not exists pg_walinspect schema public")
	return m
}

// settings changes those of a server that is this process's own.
func (m *meter) settings(changes ...string) {
	if !server.Private() {
		return
	}
	for _, text := range changes {
		m.exec(text)
	}
	var before, after string
	m.read("select pg_conf_load_time()::text", &before)
	m.exec("select pg_reload_conf()")
	until(m.B, "new settings", func() bool {
		m.read("select pg_conf_load_time()::text", &after)
		return after != before
	})
}

func (m *meter) exec(text string) {
	if _, err := m.conn.Exec(context.Background(), text); err != nil {
		m.Fatal(err)
	}
}

func (m *meter) read(text string, dest ...any) {
	if err := m.conn.QueryRow(context.Background(), text).Scan(dest...); err != nil {
		m.Fatal(err)
	}
}

func (m *meter) start() {
	m.exec("checkpoint")
	m.read("select pg_current_wal_insert_lsn()::text", &m.before)
	m.cpu -= m.busy()
	m.StartTimer()
}

func (m *meter) stop() {
	m.StopTimer()
	m.cpu += m.busy()
	var after string
	m.read("select pg_current_wal_insert_lsn()::text", &after)
	// What is not on the disk yet cannot be inspected.
	m.exec("select pg_logical_emit_message(true, '', '')")
	var total, full int64
	err := m.conn.QueryRow(context.Background(), `
		select pg_wal_lsn_diff($2::pg_lsn, $1::pg_lsn)::bigint, sum(fpi_size)::bigint
		from public.pg_get_wal_stats($1::pg_lsn, $2::pg_lsn)`, m.before, after).Scan(&total, &full)
	if err != nil {
		m.Fatal(err)
	}
	m.total, m.full = m.total+total, m.full+full
}

// busy returns for how long this process and the sessions of others than the meter have run.
func (m *meter) busy() (sum time.Duration) {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		m.Fatal(err)
	}
	sum = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	rows, _ := m.conn.Query(context.Background(), "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		m.Fatal(err)
	}
	for _, pid := range pids {
		var ran time.Duration
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		fmt.Sscan(string(text), &ran)
		sum += ran
	}
	return sum
}

func (m *meter) report(jobs int) {
	n := float64(jobs)
	m.ReportMetric(n/m.Elapsed().Seconds(), "jobs/s")
	m.ReportMetric(float64(m.cpu.Nanoseconds())/1e3/n, "cpu-µs/job")
	m.ReportMetric(float64(m.total-m.full)/n, "WAL-B/job")
	m.ReportMetric(float64(m.full)/n, "FPI-B/job")
}

// left reports the dead rows, and the size of the tables, of which so many jobs went through. Sessions tell what they left dead when they end.
func (m *meter) left(schema string, jobs int) {
	m.closed(schema)
	var dead, size int64
	m.read(`select coalesce(sum(s.n_dead_tup), 0)::bigint, sum(pg_total_relation_size(t.oid)) filter (where s.relid = t.oid)
		from pg_class t join pg_stat_all_tables s on s.relid in (t.oid, t.reltoastrelid)
		where t.relnamespace = to_regnamespace(current_schema()) and t.relkind = 'r'`, &dead, &size)
	m.ReportMetric(float64(dead)/float64(jobs), "dead/job")
	m.ReportMetric(float64(size)/float64(jobs), "disk-B/job")
}

// closed waits until no session of a schema's layouts is left.
func (m *meter) closed(schema string) {
	until(m.B, "end of the sessions", func() bool {
		var n int
		m.read("select count(*) from pg_stat_activity where application_name = '"+schema+"'", &n)
		return n == 0
	})
}
