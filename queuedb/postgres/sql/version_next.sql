-- Returns a version that no value had.
select nextval('value_version');
