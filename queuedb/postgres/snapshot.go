package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Holder is a session whose transaction holds an old snapshot: nothing that was deleted since
// then, in the whole database, can be cleaned up before it ends.
type Holder struct {
	PID         int // the server's number of it
	User        string
	Application string    // as it calls itself; may be ""
	Since       time.Time // when the transaction began, by the server's clock
}

// What vacuum does is not waited for by others.
const oldestSnapshot = `
select pid, coalesce(usename, '')::text, application_name, (extract(epoch from xact_start) * 1000000)::bigint
from pg_stat_activity
where datname = current_database()
  and pid <> pg_backend_pid()
  and backend_type in ('client backend', 'walsender')
  and (backend_xmin is not null or backend_xid is not null)
  and xact_start <= clock_timestamp() - make_interval(secs => $1::float8)
  and pid not in (select pid from pg_stat_progress_vacuum)
order by greatest(age(backend_xmin), age(backend_xid)) desc, xact_start
limit 1`

// OldestSnapshot returns who holds the oldest snapshot, of those whose transaction has been open for age
// or longer, or nil if nobody does. Sessions of other users are seen only by a user who has the
// rights of pg_read_all_stats.
func (b *Backend) OldestSnapshot(ctx context.Context, age time.Duration) (*Holder, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := b.store.take(ctx, b.store.idle)
	if err != nil {
		return nil, err
	}
	defer func() { put(b.store.idle, c) }()
	var h Holder
	var since int64
	err = c.QueryRow(ctx, oldestSnapshot, age.Seconds()).Scan(&h.PID, &h.User, &h.Application, &since)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, c.config.classify(ctx, err)
	}
	h.Since = time.UnixMicro(since)
	return &h, nil
}
