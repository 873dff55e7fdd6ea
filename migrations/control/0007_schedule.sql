-- Schedules: tasks that are asked for again and again.
--
-- Any process sweeps. It takes a due schedule for a while (firing_until), makes the order without a
-- transaction, and then moves due_at on in the transaction that creates the task: whoever finds another
-- due_at than it took came too late and writes nothing.

create table control.schedule (
    tenant_id uuid not null references control.tenant (id),
    id uuid not null,
    -- of the tenant's rows: no foreign key, they may move to another database
    project_id uuid not null,
    name text not null check (char_length(name) between 1 and 200),
    cron text not null check (octet_length(cron) between 1 and 400),
    time_zone text not null,
    overlap text not null check (overlap in ('allow', 'forbid', 'replace')),
    catch_up text not null check (catch_up in ('none', 'one')),
    scan_type text not null,
    -- what is asked for; see the app's flow::schedule
    task_order jsonb not null,
    -- with whose right: the role of the token that made it or changed it last
    token_id uuid not null,
    role text not null check (role in ('owner', 'admin', 'analyst')),
    paused_at timestamptz,
    -- when it is due next; null is never again
    due_at timestamptz,
    firing_until timestamptz,
    last_due_at timestamptz,
    last_task_id uuid,
    -- turns that were left out because an earlier task had not ended, and when the last one was
    skipped integer not null default 0,
    last_skipped_at timestamptz,
    -- turns in a row that made no task, and why the last one made none
    failures integer not null default 0,
    last_error_code text,
    last_error_message text,
    last_error_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint schedule_name_key unique (tenant_id, name)
);
-- the sweep
create index schedule_due_idx on control.schedule (due_at) where paused_at is null and due_at is not null;

alter table control.schedule enable row level security;
alter table control.schedule force row level security;
create policy own_schedules on control.schedule to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy all_schedules on control.schedule to tamiz_dispatch using (true) with check (true);
create policy operator on control.schedule for select to tamiz_control using (true);

grant select, insert, update, delete on control.schedule to tamiz_app;
-- when they are due, not what they ask for
grant select (tenant_id, id, due_at, paused_at, firing_until), update (firing_until) on control.schedule
    to tamiz_dispatch;
grant select on control.schedule to tamiz_control;
