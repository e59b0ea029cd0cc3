package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
)

// DefaultSchema is where the tables are when nothing else is said.
const DefaultSchema = "jobqueue"

// Options of [Open], [Migrate] and [MigrationStatus]. The zero value and nil mean the defaults.
type Options struct {
	Schema   string // where the tables are; "" is [DefaultSchema]
	Password string // instead of any that the URL, the environment or a file has; "" is none

	// Relaxed commits without waiting for the disk of the server. A crash of
	// the program still loses nothing; a crash of the server may lose the last
	// pushes and settlements, and runs jobs again.
	Relaxed bool

	Logger *slog.Logger // told once when runners cannot be woken; nil says nothing
}

// A config says how to connect.
type config struct {
	*pgx.ConnConfig
	schema string
	where  string // for messages; without secrets

	names, values []string    // of the settings that statements need
	pooled        atomic.Bool // a pooler was met, whose connections keep no settings and no prepared statements
}

// apply makes settings, and tells whether it must be part of each transaction: behind a pooler, which the server's
// number of this connection gives away, they would otherwise stay with a connection that others get next.
const apply = `select pg_backend_pid() <> $1::bigint, count(set_config(name, value, pg_backend_pid() <> $1::bigint))
from unnest($2::text[], $3::text[]) as t (name, value)`

// Bounds of what this package does to a server.
const (
	connectTimeout = 10 * time.Second
	callTimeout    = 30 * time.Second // of a call without a deadline
	lockTimeout    = 10 * time.Second
	idleTimeout    = 15 * time.Second // of a transaction whose program is stopped
)

func newConfig(url string, o *Options) (*config, error) {
	if o == nil {
		o = &Options{}
	}
	c := &config{schema: o.Schema}
	if c.schema == "" {
		c.schema = DefaultSchema
	}
	if err := CheckSchema(c.schema); err != nil {
		return nil, err
	}
	var err error
	if c.ConnConfig, err = pgx.ParseConfig(url); err != nil {
		// The error of the driver quotes the URL without its password.
		return nil, fmt.Errorf("%w: url: %w", jobqueue.ErrInvalid, err)
	}
	if o.Password != "" {
		c.ConnConfig.Password = o.Password
	}
	c.where = c.Database + " at " + c.Host
	if !strings.HasPrefix(c.Host, "/") {
		if o.Password != "" {
			c.ConnConfig.Password = o.Password
		}
		c.where = c.Database + " at " + net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	settings := map[string]string{
		"search_path":                         pgx.Identifier{c.schema}.Sanitize(),
		"lock_timeout":                        millis(lockTimeout),
		"idle_in_transaction_session_timeout": millis(idleTimeout),
		"statement_timeout":                   millis(callTimeout),
		// The planner knows nothing of tables that are empty now and full in a second.
		// Each statement has one good plan, which is by index.
		"enable_seqscan":   "off",
		"enable_hashjoin":  "off",
		"enable_mergejoin": "off",
		"plan_cache_mode":  "force_generic_plan",
		"jit":              "off",
		// Statements that come together must see what those before them did.
		"default_transaction_isolation": "read committed",
	}
	if o.Relaxed {
		settings["synchronous_commit"] = "off"
	}
	for name, value := range settings {
		c.names, c.values = append(c.names, name), append(c.values, value)
	}
	// Poolers know these two when a connection begins, and hardly any other.
	c.RuntimeParams["client_encoding"] = "UTF8"
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "jobqueue"
	}
	return c, nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// CheckURL returns an [jobqueue.ErrInvalid] unless url can be that of a database.
func CheckURL(url string) error {
	_, err := newConfig(url, nil)
	return err
}

// oneLine makes one line of the error of a connection. The driver writes one for each address and way to
// connect, with and without TLS, which mostly say the same.
func oneLine(err error) string {
	first, rest, _ := strings.Cut(err.Error(), "\n")
	var reasons []string
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); !slices.Contains(reasons, line) {
			reasons = append(reasons, line)
		}
	}
	return strings.TrimSpace(first + " " + strings.Join(reasons, "; "))
}

// dial opens a connection.
func (c *config) dial(ctx context.Context) (*conn, error) {
	k := &conn{config: c}
	conf := c.ConnConfig.Copy()
	conf.OnNotification = k.notified
	pooled := c.pooled.Load()
	if pooled {
		conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	var err error
	if k.Conn, err = pgx.ConnectConfig(ctx, conf); err != nil {
		if code(err) == "" && ctx.Err() == nil {
			return nil, fmt.Errorf("%w: %s", jobqueue.ErrUnavailable, oneLine(err))
		}
		return nil, c.classify(ctx, err)
	}
	// A pooler takes a connection though it has none to give.
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	settings := []any{int64(k.PgConn().PID()), c.names, c.values}
	var found bool
	if err := k.QueryRow(ctx, apply, append([]any{pgx.QueryExecModeExec}, settings...)...).Scan(&found, new(int)); err != nil {
		k.end()
		return nil, c.classify(ctx, err)
	}
	if found && !pooled {
		k.end()
		c.pooled.Store(true)
		return c.dial(ctx)
	}
	if found {
		k.local = settings
	}
	return k, nil
}
