-- Format 4: what a claim holds and large parameters are compressed by LZ4, where the server was built with it: it takes a
-- fraction of the time. What is stored stays as it is, and can be read in any case.
do $$
begin
  if current_setting('server_version_num')::integer >= 140000 then
    execute 'alter table claim alter column held set compression lz4, alter column settled set compression lz4';
    execute 'alter table job alter column params set compression lz4';
  end if;
exception
  when feature_not_supported then null;
end
$$;
