package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
}

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
		"client_encoding":                     "UTF8",
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
	}
	if o.Relaxed {
		settings["synchronous_commit"] = "off"
	}
	// Poolers know few settings when a connection begins.
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		var names, values []string
		for name, value := range settings {
			names, values = append(names, name), append(values, value)
		}
		for i := range names {
			names[i] = fmt.Sprintf("set_config('%s', $%d, false)", names[i], i+1)
		}
		arguments := make([][]byte, len(values))
		for i := range values {
			arguments[i] = []byte(values[i])
		}
		return conn.ExecParams(ctx, "select "+strings.Join(names, ", "), arguments, nil, nil, nil).Read().Err
	}
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

// dial opens a connection.
func (c *config) dial(ctx context.Context) (*conn, error) {
	k, err := pgx.ConnectConfig(ctx, c.ConnConfig)
	if err != nil && code(err) == "" && ctx.Err() == nil {
		// The driver writes a line for each address.
		return nil, fmt.Errorf("%w: %s", jobqueue.ErrUnavailable, strings.Join(strings.Fields(err.Error()), " "))
	}
	if err != nil {
		return nil, c.classify(ctx, err)
	}
	return &conn{Conn: k, config: c}, nil
}
