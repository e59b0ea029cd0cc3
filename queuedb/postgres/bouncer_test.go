package postgres_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// bouncer starts PgBouncer before the server and returns its URL.
func bouncer(t *testing.T, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	conf, err := pgx.ParseConfig(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "jobqueue-pgb") // Sockets have short names.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	ini := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n%s = host=%s port=%d user=%s\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %s\nlisten_port = 5432\nauth_type = any\npool_mode = %s\nmax_client_conn = 100\ndefault_pool_size = 20\n",
		conf.Database, conf.Host, conf.Port, conf.User, dir, mode)
	if err := os.WriteFile(ini, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", ini}
	if os.Geteuid() == 0 {
		args = append([]string{"-u", "postgres"}, args...)
	}
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	until(t, "pooler", func() bool {
		_, err := os.Stat(filepath.Join(dir, ".s.PGSQL.5432"))
		return err == nil
	})
	return fmt.Sprintf("postgres://%s@/%s?host=%s", conf.User, conf.Database, dir)
}

// Behind a pooler that gives connections to sessions everything works, wake-ups too.
func TestBouncer(t *testing.T) {
	url := bouncer(t, "session")
	o := &postgres.Options{Schema: newSchema(t)}
	var all []*postgres.Backend
	for range 2 {
		b, err := postgres.Open(t.Context(), url, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		all = append(all, b)
	}
	push(t, all[0], records(20)...)
	cs := pop(t, all[1], 10)
	if len(cs) != 10 {
		t.Fatalf("Pop = %d jobs, want 10", len(cs))
	}
	if lost := settle(t, all[0], outcomes(jobqueue.ActionDone, cs...)...); len(lost) > 0 {
		t.Errorf("Settle lost %d claims", len(lost))
	}
	if got := counts(t, all[1]); got.Ready != 10 || got.Total() != 10 {
		t.Errorf("Counts = %+v, want 10 ready", got)
	}
	for range 3 {
		wakes(t, all[0], all[1])
	}
}
