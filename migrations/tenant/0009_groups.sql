-- Groups of tasks that finish together, and what a task says about when, how long and how often it runs.

create table tenant.task_group (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    name text not null check (char_length(name) between 1 and 200),
    -- tasks that were asked for in it, and those of them that have not ended
    tasks integer not null default 0,
    unfinished integer not null default 0 check (unfinished >= 0),
    -- it takes no more tasks
    closed_at timestamptz,
    -- it was closed and its last task ended; never taken back
    finished_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references tenant.project (tenant_id, id),
    check (finished_at is null or closed_at is not null)
) with (fillfactor = 70);
-- groups of a project, newest first
create index task_group_project_idx on tenant.task_group (tenant_id, project_id, id);

alter table tenant.task
    -- not before; of a task that is tried again, of its next try
    add column run_at timestamptz,
    -- of one attempt, tools and conversion together
    add column timeout_seconds integer check (timeout_seconds > 0),
    add column group_id uuid,
    -- that asked for it; the schedule itself is the platform's
    add column schedule_id uuid,
    -- of what it is, as long as it waits to begin and was asked for as the only one of its kind
    add column unique_key bytea check (octet_length(unique_key) = 32),
    add foreign key (tenant_id, group_id) references tenant.task_group (tenant_id, id);
-- No predicate names the status: it would cost every change of a task its HOT update.
create unique index task_unique_key_idx on tenant.task (tenant_id, unique_key) where unique_key is not null;
create index task_of_group_idx on tenant.task (tenant_id, group_id, id) where group_id is not null;
-- the last tasks of a schedule
create index task_of_schedule_idx on tenant.task (tenant_id, schedule_id, id) where schedule_id is not null;

-- where the worker ran: workers go, histories stay
alter table tenant.task_attempt add column worker_host text;

alter table tenant.task_group enable row level security;
alter table tenant.task_group force row level security;
create policy own_rows on tenant.task_group to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
-- deleting is retention's, once a group has no task left
grant select, insert, update, delete on tenant.task_group to tamiz_app;
