-- What workers said while they worked on a task, a partition per month, so that old months go in one stroke.
--
-- Partitions are made and dropped by tenant.keep_worker_log alone, which upkeep calls. The primary key serves
-- the one query there is, a page of a task's lines in their order; it has the time because a key of a partitioned
-- table must. No foreign key: it would have to be checked row by row before a month could go. Lines are numbered
-- per task by the update that fenced them (task.log_lines), without gaps.
alter table tenant.task
    add column log_lines integer not null default 0,
    add column log_bytes bigint not null default 0;

create table tenant.worker_log (
    tenant_id uuid not null,
    task_id uuid not null,
    -- from 1, over all attempts
    seq integer not null,
    attempt integer not null,
    worker_id uuid not null,
    level text not null check (level in ('info', 'warn', 'error')),
    message text not null check (octet_length(message) <= 4096),
    -- when it was said, by this database's clock
    created_at timestamptz not null default now(),
    primary key (tenant_id, task_id, seq, created_at)
) partition by range (created_at);

alter table tenant.worker_log enable row level security;
alter table tenant.worker_log force row level security;
create policy own_rows on tenant.worker_log to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
-- Of the parent alone: nobody but the owner reaches a partition by its name. Lines go with their task where a
-- tenant keeps tasks for less long.
grant select, insert, delete on tenant.worker_log to tamiz_app;

-- Makes the partitions of this month and the next p_months_ahead, and drops those whose last line is older than
-- p_keep_days; answers how many it made and dropped. Whoever comes while another one is at it has nothing to do.
--
-- With the owner's rights, for only the owner of a table makes and drops its partitions. It takes two numbers and
-- makes all names itself. A lock that is not to be had in a second is left to the next turn: readers queue
-- behind whoever waits for it.
create function tenant.keep_worker_log(p_keep_days integer, p_months_ahead integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' set timezone = 'UTC' as $$
declare
    moved integer := 0;
    month timestamptz;
    part text;
    old record;
begin
    if p_keep_days is null or p_keep_days not between 1 and 3650
        or p_months_ahead is null or p_months_ahead not between 0 and 12 then
        raise exception 'keep_worker_log: days are 1 to 3650, months 0 to 12';
    end if;
    if not pg_try_advisory_xact_lock(hashtextextended('tenant.keep_worker_log', 0)) then return 0; end if;
    for i in 0..p_months_ahead loop
        month := date_trunc('month', now()) + make_interval(months => i);
        part := 'worker_log_' || to_char(month, 'YYYY_MM');
        if to_regclass('tenant.' || part) is null then
            -- made apart and attached: the parent stays open for readers and writers meanwhile
            execute format('create table tenant.%I (like tenant.worker_log including all)', part);
            execute format('alter table tenant.%I enable row level security', part);
            execute format('alter table tenant.%I force row level security', part);
            execute format(
                'create policy own_rows on tenant.%I to tamiz_app '
                'using (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid) '
                'with check (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)', part);
            execute format('alter table tenant.worker_log attach partition tenant.%I for values from (%L) to (%L)',
                part, month, month + interval '1 month');
            moved := moved + 1;
        end if;
    end loop;
    for old in
        select c.relname::text as part
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'tenant.worker_log'::regclass and c.relname ~ '^worker_log_\d{4}_\d{2}$'
          and to_timestamp(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= now() - make_interval(days => p_keep_days)
    loop
        execute format('drop table tenant.%I', old.part);
        moved := moved + 1;
    end loop;
    return moved;
end $$;

revoke all on function tenant.keep_worker_log(integer, integer) from public;
grant execute on function tenant.keep_worker_log(integer, integer) to tamiz_control;

select tenant.keep_worker_log(3650, 2);
