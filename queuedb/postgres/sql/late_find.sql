-- Returns a snapshot and what late_put noted in transactions that were committed since another one was taken:
-- those that were under way then, and those that began later.
-- $1 that one, or null for the new one alone
select
  0::bigint,
  0::bigint,
  0::bigint,
  pg_current_snapshot()::text
union all
select queue, first, last, ''
from late
where xid >= pg_snapshot_xmax($1::text::pg_snapshot)
  and xid < pg_snapshot_xmax(pg_current_snapshot())
union all
select queue, first, last, ''
from late
where xid = any(array(select pg_snapshot_xip($1::text::pg_snapshot)));
