-- Alerts: what people manage. A scan compares itself with what its scope holds; who writes that holds the project's
-- row, so that scans of one project take turns. No foreign keys beyond the scope's: a hundred thousand alerts and places
-- are written at once, in the transaction that holds their project and their scope, and none is ever deleted alone.

-- What one kind of scan looks at: absence proves something within it alone.
create table tenant.scan_scope (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    -- SHA-256 of all that makes it this scope; see tamiz_core::scope
    key bytea not null check (octet_length(key) = 32),
    scan_type text not null,
    tool text not null,
    -- host, host:port or name; empty for source code
    target text not null,
    branch text not null,
    environment text not null,
    category text not null,
    created_at timestamptz not null default now(),
    -- the newest task that told of it, and when
    task_id uuid not null,
    scanned_at timestamptz not null,
    -- of which version the fingerprints of the places are that it holds
    fingerprint_version smallint not null,
    primary key (tenant_id, id),
    constraint scan_scope_key unique (tenant_id, project_id, key),
    foreign key (tenant_id, project_id) references tenant.project (tenant_id, id)
);

create table tenant.alert (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    -- tamiz_core::identity::Kind
    kind text not null,
    source_tool text not null,
    -- its newest sighting's
    content_id uuid not null,
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    fingerprint_version smallint not null,
    -- 0 open, 1 reopened, 2 dismissed, 3 fixed
    state smallint not null check (state between 0 and 3),
    -- what counts: the override, or the tool's
    severity smallint not null check (severity between 0 and 4),
    tool_severity smallint not null check (tool_severity between 0 and 4),
    severity_override smallint check (severity_override between 0 and 4),
    -- the scope that saw it last
    scope_id uuid not null,
    first_seen_at timestamptz not null default now(),
    -- null while it is there: then it was last seen when its scope was last scanned
    last_seen_at timestamptz,
    first_task_id uuid not null,
    dismissed_reason text check (dismissed_reason in ('false-positive', 'accepted-risk', 'wont-fix', 'used-in-tests')),
    dismissed_comment text,
    dismissed_by text,
    dismissed_at timestamptz,
    dismissed_until timestamptz,
    assignee text,
    due_on date,
    primary key (tenant_id, id),
    -- deferrable: equals may change places in one statement
    constraint alert_identity_key unique (tenant_id, project_id, fingerprint) deferrable,
    check ((state = 2) = (dismissed_reason is not null))
) with (fillfactor = 90);
-- alerts of a project that are there: worst first, then by the scope that saw them last
create index alert_present_idx on tenant.alert (tenant_id, project_id, state, severity, scope_id, id)
    where last_seen_at is null;
-- alerts that are gone: worst first, then the last seen
create index alert_gone_idx on tenant.alert (tenant_id, project_id, state, severity, last_seen_at, id)
    where last_seen_at is not null;
-- acceptances that expire
create index alert_expiry_idx on tenant.alert (tenant_id, dismissed_until) where dismissed_until is not null;

-- The places of an alert in a scope.
create table tenant.alert_occurrence (
    tenant_id uuid not null,
    alert_id uuid not null,
    scope_id uuid not null,
    -- what tells places of one identity apart, hashed; all zero where an identity has one place
    place uuid not null,
    -- by which the next scan of the scope knows it
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    content_id uuid not null,
    line integer not null,
    -- tamiz_core::identity::Lines of the source, where there was one
    lines bytea,
    tool_id uuid,
    first_seen_at timestamptz not null default now(),
    -- null while it is there
    last_seen_at timestamptz,
    primary key (tenant_id, alert_id, scope_id, place)
) with (fillfactor = 90);
-- what a scope holds
create index alert_occurrence_scope_idx on tenant.alert_occurrence (tenant_id, scope_id, fingerprint)
    where last_seen_at is null;

-- Every change of an alert.
create table tenant.alert_event (
    tenant_id uuid not null,
    alert_id uuid not null,
    -- a UUIDv7, so in order of time
    id uuid not null,
    -- opened, fixed, reopened, dismissed, moved, severity, assigned, commented, due
    kind text not null,
    -- the task or the person that did it
    task_id uuid,
    actor text,
    before jsonb,
    after jsonb,
    comment text,
    created_at timestamptz not null default now(),
    primary key (tenant_id, alert_id, id)
);

-- How many alerts a project has, by state and severity.
create table tenant.alert_count (
    tenant_id uuid not null,
    project_id uuid not null,
    state smallint not null,
    severity smallint not null,
    alerts integer not null check (alerts >= 0),
    primary key (tenant_id, project_id, state, severity)
) with (fillfactor = 50);

-- What happened to a project's alerts on a day, by severity.
create table tenant.alert_day (
    tenant_id uuid not null,
    project_id uuid not null,
    day date not null,
    severity smallint not null,
    opened integer not null default 0,
    fixed integer not null default 0,
    reopened integer not null default 0,
    dismissed integer not null default 0,
    primary key (tenant_id, project_id, day, severity)
) with (fillfactor = 50);

do $$
declare name text;
begin
    foreach name in array array['scan_scope', 'alert', 'alert_occurrence', 'alert_event', 'alert_count', 'alert_day']
    loop
        execute format('alter table tenant.%I enable row level security', name);
        execute format('alter table tenant.%I force row level security', name);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid) '
            'with check (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)', name);
    end loop;
end $$;

grant select, insert, update on tenant.scan_scope, tenant.alert, tenant.alert_occurrence, tenant.alert_count,
    tenant.alert_day to tamiz_app;
grant select, insert on tenant.alert_event to tamiz_app;
