-- The wikis: what refreshLinks, htmlCacheUpdate and categoryMembershipChange compute.

create table if not exists pages (
	id       integer primary key,
	wiki     text not null,
	path     text not null,
	touched  integer not null, -- when it was last edited: microseconds since 1970, never twice the same
	synopsis text not null,
	text     text not null,
	unique (wiki, path)
) strict;

create index if not exists pages_touched on pages (touched);

create table if not exists links (
	page     integer not null references pages,
	kind     text not null,    -- import or doc
	wiki     text not null,    -- where it leads, whether or not there is such a page
	path     text not null,
	fragment text not null,
	primary key (page, kind, wiki, path, fragment)
) strict, without rowid;

create index if not exists links_to on links (wiki, path, page);

create table if not exists categorylinks ( -- what the page says of itself
	page     integer not null references pages,
	category text not null,
	primary key (page, category)
) strict, without rowid;

create table if not exists members ( -- what the category says of its pages
	category text not null,
	page     integer not null references pages,
	since    integer not null,
	primary key (category, page)
) strict, without rowid;

create table if not exists rendered (
	page integer primary key references pages,
	html text not null,
	red  integer not null, -- how many links led to no page
	seen integer not null  -- the newest pages.touched among the page and what it links to
) strict;

create table if not exists jobs ( -- what became of each job that was stored in the queue
	id         text primary key,
	wiki       text not null,
	type       text not null,
	runs       integer not null, -- more than 1 if a process died before it could settle the job
	superseded integer not null
) strict, without rowid;

create table if not exists duplicates ( -- jobs that were dropped because an equal one was waiting
	wiki text not null,
	type text not null,
	jobs integer not null,
	primary key (wiki, type)
) strict, without rowid;

create table if not exists drains (
	id      integer primary key,
	seconds real not null
) strict;

-- Where each link leads: target is null for a broken one.
create view if not exists leads as
select l.page, f.wiki as from_wiki, f.path as from_path, l.kind, l.wiki, l.path, l.fragment, t.id as target, t.touched, t.synopsis
from links l
join pages f on f.id = l.page
left join pages t on t.wiki = l.wiki and t.path = l.path;
