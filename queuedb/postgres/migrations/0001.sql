-- Format 1.
-- All instants are microseconds since 1970, all durations microseconds.

-- meta is one row, and changes only when the format does: the format, and the
-- oldest format a program must know to use the tables.
create table meta (
  format integer not null,
  oldest integer not null
);

insert into meta (format, oldest) values (1, 1);

comment on table meta is 'jobqueue';

-- sweep is one row: when the last sweep was. Whoever sweeps locks it.
create table sweep (
  swept bigint not null
) with (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

insert into sweep (swept) values (0);

-- number gives a thousand consecutive numbers at a time to jobs and positions.
-- They only grow, and no transaction waits for another to get them.
create sequence number increment by 1000 minvalue 1 start with 1;

create sequence value_version;

create table queue (
  id bigint generated always as identity primary key,
  domain text collate "C" not null,
  type text collate "C" not null,
  unique (domain, type)
);

-- job is written once and deleted once; what follows params changes only when
-- a job comes back. position is where it stands in ready, null meaning its id.
create table job (
  id bigint primary key,
  queue bigint not null,
  pushed bigint not null,
  tries bigint,
  digest bytea,
  root_key text collate "C",
  root_time bigint,
  headers text,
  params bytea not null,
  failures bigint not null default 0,
  expiries bigint not null default 0,
  position bigint,
  error text
) with (
  autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_threshold = 1000, vacuum_truncate = off
);

-- Rows of ready are inserted and deleted, and never updated. Who changes a job that is
-- ready writes its row anew, so that a claim that began before does not see it.
create table ready (
  queue bigint not null,
  position bigint not null,
  job bigint not null,
  since bigint not null,
  primary key (queue, position)
) with (
  autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_threshold = 1000, vacuum_truncate = off
);

-- reached says up to which position a queue was claimed, about: there may be jobs before it.
create table reached (
  queue bigint primary key,
  position bigint not null
) with (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.1);

-- late says where jobs stand whose transaction may be committed after others behind them were claimed. Who
-- claims reads the rows that were committed since it last did.
create table late (
  xid xid8 not null default pg_current_xact_id(),
  queue bigint not null,
  first bigint not null,
  last bigint not null
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02, vacuum_truncate = off);

create index late_xid on late (xid);

create table later (
  job bigint primary key,
  queue bigint not null,
  release bigint not null
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index later_release on later (release, queue);
create index later_queue on later (queue, release);

create table abandoned (
  job bigint primary key,
  queue bigint not null,
  prune_at bigint
);

create index abandoned_queue on abandoned (queue);
create index abandoned_prune_at on abandoned (prune_at) where prune_at is not null;

-- dedupe holds the digests of ready and delayed jobs.
create table dedupe (
  queue bigint not null,
  digest bytea not null,
  job bigint not null,
  primary key (queue, digest)
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

-- claim is one row a Pop. held are the jobs it still holds, in the order they were
-- handed out, and settled those it settled, sorted. expires is null once it holds
-- none, and forget is when the row may go then.
create table claim (
  token bytea primary key,
  owner text not null,
  ttl bigint not null,
  expires bigint,
  graced boolean not null default false,
  held bigint[] not null,
  settled bigint[] not null default '{}',
  forget bigint
) with (
  fillfactor = 70, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = off
);

create index claim_expires on claim (expires) where expires is not null;
create index claim_ungraced on claim (ttl) where expires is not null and not graced;
create index claim_ahead on claim ((expires - 2 * ttl)) where expires is not null;
create index claim_forget on claim (forget) where expires is null;

create table root (
  queue bigint not null,
  key text collate "C" not null,
  time bigint not null,
  moved bigint not null,
  primary key (queue, key)
);

create index root_moved on root (moved);

create table push (
  id bytea primary key,
  at bigint not null,
  answer bytea not null
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index push_at on push (at);

-- value is what is kept apart from all queues; expires null means never.
create table value (
  key text collate "C" primary key,
  data bytea not null,
  version bigint not null,
  set_at bigint not null,
  expires bigint
);

create index value_expires on value (expires) where expires is not null;

-- rate says until when the rate of a key is booked, in nanoseconds since 1970.
create table rate (
  key text collate "C" primary key,
  booked bigint not null
);

create index rate_booked on rate (booked);

-- hint are the entries of the aggregator: queues that may have work. What is lost is found again, so the
-- disk need not wait for it.
create unlogged table hint (
  type text collate "C" not null,
  domain text collate "C" not null,
  version bigint not null,
  since bigint not null,
  primary key (type, domain)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

create view jobs as
select
  j.id,
  q.domain,
  q.type,
  case
    when r.job is not null then 'ready'
    when l.job is not null then 'delayed'
    when a.job is not null then 'abandoned'
    else 'claimed'
  end as state,
  convert_from(j.params, 'UTF8') as params,
  to_timestamp(j.pushed / 1e6) as pushed,
  to_timestamp(l.release / 1e6) as release,
  to_timestamp(a.prune_at / 1e6) as prune_at,
  j.failures,
  j.expiries,
  j.error,
  j.root_key as root,
  j.headers
from job j
join queue q on q.id = j.queue
left join ready r on r.queue = j.queue and r.position = coalesce(j.position, j.id) and r.job = j.id
left join later l on l.job = j.id
left join abandoned a on a.job = j.id;
