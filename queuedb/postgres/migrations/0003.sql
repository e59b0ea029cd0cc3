-- Format 3: jobs that are moved to another store, or from one; and parameters that stay in their row.

-- hold is a batch of jobs that are in no queue; jobs are they, in JSON. Of one that has ended it says how many it has released and
-- how many of these were duplicates.
create table hold (
  id bytea primary key,
  label text not null,
  domain text collate "C" not null,
  type text collate "C" not null,
  since bigint not null,
  count bigint not null,
  jobs text not null,
  ended bigint,
  stored bigint not null default 0,
  dropped bigint not null default 0
);

create index hold_since on hold (since, id) where ended is null;
create index hold_ended on hold (ended) where ended is not null;

-- Up to 8 KB, once compressed. A row is written once and deleted once, so nothing is saved by a second one beside it.
alter table job alter column params set storage main;
