-- The life of workers. A row is one start of one; a name outlives it, and with it the counts and the restarts.
-- Times are by this database's clock alone.
--
-- The primary key serves heartbeats; worker_name_idx serves a start, which looks for the one before it, and the
-- list, which shows the last start of each name. A silent worker is found by reading the table: it is small.
alter table control.worker
    add column name text not null default '' check (char_length(name) <= 200),
    add column free_slots integer not null default 0 check (free_slots >= 0),
    -- attempts that ended well, and those that did not, of this start and, before it, of the others of the name
    add column tasks_done bigint not null default 0,
    add column tasks_failed bigint not null default 0,
    add column done_before bigint not null default 0,
    add column failed_before bigint not null default 0,
    -- starts of the name before this one
    add column restarts integer not null default 0,
    -- why it could not work, now or the last time
    add column last_error text check (char_length(last_error) <= 1000),
    add column last_error_at timestamptz,
    drop constraint worker_state_check,
    -- initializing: plugins are loaded and tools tried; error: it lives and cannot work
    add constraint worker_state_check
        check (state in ('initializing', 'idle', 'busy', 'draining', 'error', 'offline'));

create index worker_name_idx on control.worker (name, started_at desc);

-- the owner is held by row-level security, too
alter table control.worker no force row level security;
alter table control.worker disable row level security;
update control.worker set name = left(host, 200);
alter table control.worker enable row level security;
alter table control.worker force row level security;
