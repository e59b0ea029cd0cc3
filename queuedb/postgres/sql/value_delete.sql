-- Deletes a value.
-- $1 key
delete from value
where key = $1;
