-- Forgets what late_put noted.
-- $1 a snapshot before which that was, $2 how many at most
delete from late
where ctid = any(array(
    select ctid
    from late
    where xid < pg_snapshot_xmin($1::text::pg_snapshot)
    order by xid
    limit $2
    for update skip locked
  ));
