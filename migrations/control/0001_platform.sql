-- The platform's own tables: who the tenants are, which workers live, which tasks wait.
--
-- Roles (made before the migrations run, see server/store/src/migrate.rs):
--   tamiz_owner     owns everything here, cannot log in
--   tamiz_app       requests and results of one tenant at a time; row-level security holds it there
--   tamiz_dispatch  the queue: tickets and workers, no tenant rows
--   tamiz_control   the operator's commands: tenants and their tokens

create table control.tenant (
    id uuid primary key,
    name text not null unique check (char_length(name) between 1 and 200),
    -- bytes; null is the platform's own limit
    upload_bytes_max bigint check (upload_bytes_max > 0),
    created_at timestamptz not null default now()
);

-- One small row per waiting or leased task. The task row stays the record; this one goes when it is done.
create table control.ticket (
    task_id uuid primary key,
    tenant_id uuid not null,
    scan_type text not null,
    priority smallint not null default 0,
    -- 0 waiting, 1 leased
    state smallint not null default 0 check (state in (0, 1)),
    -- of the current or last lease; the fencing token
    attempt integer not null default 0,
    run_at timestamptz not null default now(),
    enqueued_at timestamptz not null default now(),
    worker_id uuid,
    lease_until timestamptz,
    cancel_requested boolean not null default false,
    check ((state = 1) = (lease_until is not null and worker_id is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- claim: priority, then age
create index ticket_waiting_idx on control.ticket (priority desc, enqueued_at, task_id) where state = 0;
-- expiry
create index ticket_lease_idx on control.ticket (lease_until) where state = 1;

create table control.worker (
    id uuid primary key,
    host text not null,
    process_id integer not null,
    version text not null,
    slots integer not null check (slots > 0),
    -- scan types, tools and their versions
    capabilities jsonb not null,
    state text not null check (state in ('idle', 'busy', 'draining', 'offline')),
    started_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now()
);

alter table control.tenant enable row level security;
alter table control.tenant force row level security;
alter table control.ticket enable row level security;
alter table control.ticket force row level security;
alter table control.worker enable row level security;
alter table control.worker force row level security;

create policy own_tenant on control.tenant for select to tamiz_app
    using (id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy operator on control.tenant to tamiz_control using (true) with check (true);
create policy own_tickets on control.ticket to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy all_tickets on control.ticket to tamiz_dispatch using (true) with check (true);
create policy all_workers on control.worker to tamiz_dispatch using (true) with check (true);
create policy workers_for_operator on control.worker for select to tamiz_control using (true);

grant usage on schema control to tamiz_app, tamiz_dispatch, tamiz_control;
grant select on control.tenant to tamiz_app;
grant select, insert, update, delete on control.ticket to tamiz_app;
grant select, update on control.ticket to tamiz_dispatch;
grant select, insert, update, delete on control.worker to tamiz_dispatch;
grant select, insert, update on control.tenant to tamiz_control;
grant select on control.worker to tamiz_control;
