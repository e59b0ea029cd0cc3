-- Stores a job, for each row of arguments.
-- ? id, queue, now, tries or 0, digest, root key or '', root time, headers or '', parameters
insert into job (id, queue, pushed, tries, digest, root_key, root_time, headers, params)
values (?, ?, ?, nullif(?, 0), ?, nullif(?, ''), nullif(?, 0), nullif(?, ''), ?);
