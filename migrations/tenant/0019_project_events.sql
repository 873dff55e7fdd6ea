-- What happens to the tasks and alerts of a project, to be followed from any point on.
--
-- Writers only insert, in the transaction that changes something, and wait for nobody. Whoever reads numbers what has no
-- number yet, under the project's head: a row is numbered once it is committed, so that the order of numbers is an order
-- in which rows became visible, and a reader who has seen n never misses a smaller one.

create table tenant.project_event (
    tenant_id uuid not null,
    project_id uuid not null,
    id uuid not null,
    -- from 1 without gaps; null until somebody reads
    seq bigint check (seq > 0),
    -- tamiz_store::project_event::Kind
    kind smallint not null,
    -- the task that changed, or that changed the alerts; null when a person or the clock did
    task_id uuid,
    -- of a task: its state and what it does from then on
    status text,
    phase text,
    -- of alerts, one entry a severity: what became of how many
    severities smallint[],
    opened integer[],
    fixed integer[],
    reopened integer[],
    dismissed integer[],
    created_at timestamptz not null default now(),
    primary key (tenant_id, project_id, id)
);
create unique index project_event_seq_idx on tenant.project_event (tenant_id, project_id, seq) where seq is not null;
create index project_event_new_idx on tenant.project_event (tenant_id, project_id, id) where seq is null;
create index project_event_age_idx on tenant.project_event (tenant_id, created_at);

-- The last number of each project that somebody reads; what is older may be gone.
create table tenant.project_feed (
    tenant_id uuid not null,
    project_id uuid not null,
    seq bigint not null default 0 check (seq >= 0),
    primary key (tenant_id, project_id)
);

do $$
declare name text;
begin
    foreach name in array array['project_event', 'project_feed']
    loop
        execute format('alter table tenant.%I enable row level security', name);
        execute format('alter table tenant.%I force row level security', name);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = (select nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)) '
            'with check (tenant_id = (select nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid))', name);
    end loop;
end $$;

grant select, insert, update, delete on tenant.project_event to tamiz_app;
grant select, insert, update on tenant.project_feed to tamiz_app;
