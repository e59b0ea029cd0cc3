//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/internal/child"
)

// A Pooler is a PgBouncer before a server.
type Pooler struct {
	URL string // of the same database

	dir     string
	process *child.Process
}

// Pool starts a PgBouncer with a pool of so many connections, which it gives away by mode: "session" or "transaction". The
// database pgbouncer is its console. The caller stops it.
func (s *Server) Pool(mode string, size int) (p *Pooler, err error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	conf, err := pgx.ParseConfig(s.URL)
	if err != nil {
		return nil, err
	}
	p = &Pooler{}
	if p.dir, err = os.MkdirTemp("/tmp", "jobqueue-pgb"); err != nil { // Sockets have short names.
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	if err := os.Chmod(p.dir, 0o777); err != nil {
		return nil, err
	}
	ini := filepath.Join(p.dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=%[3]d user=%[4]s
[pgbouncer]
listen_addr =
unix_socket_dir = %[5]s
listen_port = 5432
auth_type = any
admin_users = %[4]s
pool_mode = %[6]s
max_client_conn = 1000
default_pool_size = %[7]d
`, conf.Database, conf.Host, conf.Port, conf.User, p.dir, mode, size)
	if err := os.WriteFile(ini, []byte(text), 0o644); err != nil {
		return nil, err
	}
	args := []string{"-q", ini}
	if os.Geteuid() == 0 && s.owner == nil {
		args = append([]string{"-u", "postgres"}, args...)
	}
	p.URL = fmt.Sprintf("postgres://%s@/%s?host=%s", conf.User, conf.Database, p.dir)
	p.process, err = child.Start(exec.Command(program, args...), s.owner, syscall.SIGKILL, func(context.Context) error {
		c, err := net.Dial("unix", filepath.Join(p.dir, ".s.PGSQL.5432"))
		if err != nil {
			return err
		}
		return c.Close()
	})
	return p, err
}

// Stop ends the pooler and removes its files.
func (p *Pooler) Stop() (err error) {
	if p.process != nil {
		err = p.process.End(syscall.SIGKILL)
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}
