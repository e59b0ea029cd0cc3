-- Keeps a value as it is for all who call this, until the transaction ends, whether there is one or not.
-- $1 key
select pg_advisory_xact_lock(hashtextextended('jobqueue value ' || current_schema() || ' ' || $1::text, 0));
