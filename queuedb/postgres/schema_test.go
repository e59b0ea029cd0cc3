package postgres_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// Ten processes that migrate at once, in a schema of any name, do it once.
func TestMigrateTogether(t *testing.T) {
	base, drop := server.Schema()
	t.Cleanup(func() { drop() })
	for _, schema := range []string{base, base + ` "with" quotes, ÄÖ'`} {
		o := &postgres.Options{Schema: schema}
		t.Cleanup(func() {
			raw(t, "public").Exec(context.Background(), "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade")
		})
		if st, err := postgres.MigrationStatus(t.Context(), server.URL, o); err != nil || st.Format != 0 || st.Pending() == 0 {
			t.Fatalf("MigrationStatus of what is not there = %+v, %v", st, err)
		}
		if b, err := postgres.Open(t.Context(), server.URL, o); !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), "migrate it first") {
			t.Errorf("Open of what is not there = %v, %v", b, err)
		}
		const many = 10
		errs := make([]error, many)
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() { errs[i] = postgres.Migrate(t.Context(), server.URL, o) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if st, err := postgres.MigrationStatus(t.Context(), server.URL, o); err != nil || st.Pending() != 0 || st.Format != st.Newest {
			t.Fatalf("MigrationStatus = %+v, %v", st, err)
		}
		b := openSchema(t, o)
		push(t, b, records(1)...)
		if cs := pop(t, b, 1); len(cs) != 1 {
			t.Errorf("Pop = %v", cs)
		}
	}
}

// A role that may make no schemas can migrate one that was made for it.
func TestMigrateGiven(t *testing.T) {
	schema, drop := server.Schema()
	role, admin := schema+"_role", raw(t, "public")
	for _, text := range []string{
		"create role " + role + " login",
		"create schema " + schema + " authorization " + role,
	} {
		if _, err := admin.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
		if _, err := raw(t, "public").Exec(context.Background(), "drop role "+role); err != nil {
			t.Error(err)
		}
	})
	as := with("user", role)
	if err := postgres.Migrate(t.Context(), as, &postgres.Options{Schema: schema + "_other"}); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Migrate of a schema that is not there = %v, want %v", err, jobqueue.ErrInvalid)
	}
	o := &postgres.Options{Schema: schema}
	for range 2 {
		if err := postgres.Migrate(t.Context(), as, o); err != nil {
			t.Fatal(err)
		}
	}
	b, err := postgres.Open(t.Context(), as, o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	push(t, b, records(1)...)
	if cs := pop(t, b, 1); len(cs) != 1 {
		t.Errorf("Pop = %d jobs, want one", len(cs))
	}
}

// A schema with a table meta of another program, and one that needs a newer program, are refused.
func TestForeignSchema(t *testing.T) {
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema}
	b := openSchema(t, o)
	push(t, b, records(1)...)
	c := raw(t, schema)
	if _, err := c.Exec(t.Context(), "update meta set oldest = 99, format = 99"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Open":    second(postgres.Open(t.Context(), server.URL, o)),
		"Migrate": postgres.Migrate(t.Context(), server.URL, o),
		"Push":    second(b.Push(t.Context(), uuid.New(), records(1))),
		"Counts":  second(b.Counts(t.Context())),
		"Pop":     second(b.Pop(t.Context(), lease(time.Second), jobqueue.Want{Name: queue, Max: 1})),
	} {
		if !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), "needs a newer program") {
			t.Errorf("%s of a newer format = %v", name, err)
		}
	}
	if _, err := c.Exec(t.Context(), "comment on table meta is 'other'"); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), server.URL, o); !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Migrate of another program's schema = %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A program that is newer than the tables does not use them before they are migrated.
func TestOlderSchema(t *testing.T) {
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema}
	undo := postgres.AddMigration("create table added (n integer)")
	defer undo()
	if _, err := postgres.Open(t.Context(), server.URL, o); !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), "migrate it first") {
		t.Errorf("Open of an older format = %v", err)
	}
	if err := postgres.Migrate(t.Context(), server.URL, o); err != nil {
		t.Fatal(err)
	}
	push(t, openSchema(t, o), records(1)...)
	if _, err := raw(t, schema).Exec(t.Context(), "select n from added"); err != nil {
		t.Error(err)
	}
}

// The statements that are transactions of their own know the newest format that this program knows.
func TestDirectKnowsFormat(t *testing.T) {
	for _, name := range []string{"pop", "later_release"} {
		if want := "oldest <= " + string(rune('0'+len(postgres.Migrations()))); !strings.Contains(postgres.Statements[name], want) {
			t.Errorf("%s.sql does not say %q", name, want)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, schema := range []string{"pg_jobs", strings.Repeat("x", 64), "a\x00b"} {
		if _, err := postgres.Open(t.Context(), server.URL, &postgres.Options{Schema: schema}); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("Open with the schema %q = %v, want %v", schema, err, jobqueue.ErrInvalid)
		}
	}
	for _, url := range []string{"http://localhost/jobs", "postgres://%zz", "port=many"} {
		if _, err := postgres.Open(t.Context(), url, nil); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("Open of %q = %v, want %v", url, err, jobqueue.ErrInvalid)
		}
	}
	const secret = "hunter2"
	for _, url := range []string{"postgres://ann:" + secret + "@localhost:1/jobs", "postgres://ann:" + secret + "@localhost:many/jobs"} {
		if _, err := postgres.Open(t.Context(), url, nil); err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open = %v, want a line without the password", err)
		}
	}
}

// A proxy stands between a backend and the server, and may fall silent as a cable does that is cut.
type proxy struct {
	t    *testing.T
	dir  string
	mu   sync.Mutex
	all  []net.Conn
	dead bool
}

func newProxy(t *testing.T) *proxy {
	conf, err := pgx.ParseConfig(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, dir: t.TempDir()}
	l, err := net.Listen("unix", filepath.Join(p.dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	network, address := pgNetwork(conf)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial(network, address)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.all = append(p.all, in, out)
			p.mu.Unlock()
			go p.carry(in, out)
			go p.carry(out, in)
		}
	}()
	return p
}

func pgNetwork(c *pgx.ConnConfig) (network, address string) {
	if strings.HasPrefix(c.Host, "/") {
		return "unix", filepath.Join(c.Host, ".s.PGSQL.5432")
	}
	return "tcp", net.JoinHostPort(c.Host, "5432")
}

func (p *proxy) carry(from, to net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			to.Close()
			return
		}
		p.mu.Lock()
		dead := p.dead
		p.mu.Unlock()
		if !dead {
			to.Write(buffer[:n])
		}
	}
}

// silence stops to carry what comes, or carries what new connections send.
func (p *proxy) silence(dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = dead
}

// A connection that is cut without a word fails at the deadline of the call, and the next call has another one.
func TestHalfOpen(t *testing.T) {
	schema := newSchema(t)
	p := newProxy(t)
	conf, err := pgx.ParseConfig(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, err := postgres.Open(t.Context(), "postgres://"+conf.User+"@/"+conf.Database+"?host="+p.dir, &postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	push(t, b, records(3)...)
	cs := pop(t, b, 1)
	p.silence(true)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := b.Settle(ctx, outcomes(jobqueue.ActionDone, cs...)...); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Settle over a dead connection = %v, want %v", err, jobqueue.ErrUnavailable)
		}
		cancel()
	}
	p.silence(false)
	if lost := settle(t, b, outcomes(jobqueue.ActionDone, cs...)...); len(lost) > 0 {
		t.Errorf("Settle lost %v", lost)
	}
	if got := counts(t, b); got.Ready != 2 || got.Total() != 2 {
		t.Errorf("Counts = %+v, want 2 ready", got)
	}
}
