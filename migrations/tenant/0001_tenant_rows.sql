-- A tenant's rows. Every key and index starts with tenant_id, every foreign key carries it, none
-- reaches into the control schema: these tables must be able to move to a database of their own.

create table tenant.project (
    tenant_id uuid not null,
    id uuid not null,
    name text not null check (char_length(name) between 1 and 200),
    settings jsonb not null default '{}',
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint project_name_key unique (tenant_id, name)
);

create table tenant.api_token (
    tenant_id uuid not null,
    id uuid not null,
    name text not null check (char_length(name) between 1 and 200),
    role text not null check (role in ('owner', 'admin', 'analyst', 'viewer')),
    -- SHA-256 of the token; the token itself is stored nowhere
    hash bytea not null check (octet_length(hash) = 32),
    hint text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    primary key (tenant_id, id),
    constraint api_token_hash_key unique (tenant_id, hash)
);

create table tenant.task (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    type text not null,
    status text not null check (status in
        ('queued', 'running', 'retrying', 'timeout', 'completed', 'failed', 'dead_letter', 'cancelled')),
    -- what to scan and how; see tamiz_store::task::Payload
    payload jsonb not null,
    -- attempts that failed
    retries integer not null default 0,
    -- the attempt that may write: the fence
    attempt integer not null default 0,
    priority smallint not null default 0,
    phase text not null default 'queued'
        check (phase in ('queued', 'preparing', 'scanning', 'converting', 'storing', 'done')),
    -- last number given to an event
    event_seq integer not null default 0,
    error_code text,
    error_message text,
    cancel_requested_at timestamptz,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references tenant.project (tenant_id, id)
) with (fillfactor = 80);

-- tasks: a project's, newest first
create index task_project_idx on tenant.task (tenant_id, project_id, id);
create index task_created_idx on tenant.task (tenant_id, created_at);

create table tenant.task_attempt (
    tenant_id uuid not null,
    task_id uuid not null,
    attempt integer not null,
    worker_id uuid not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    -- completed, failed, retrying, timeout, cancelled, dead_letter, lost
    outcome text,
    error_code text,
    error_message text,
    primary key (tenant_id, task_id, attempt),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);

-- What happened to a task, numbered without gaps by the update that touched the task row.
create table tenant.task_event (
    tenant_id uuid not null,
    task_id uuid not null,
    seq integer not null,
    status text not null,
    phase text not null,
    message text not null,
    done bigint,
    total bigint,
    created_at timestamptz not null default now(),
    primary key (tenant_id, task_id, seq),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);

-- Bytes in the object store that rows point to.
create table tenant.blob (
    tenant_id uuid not null,
    storage_path text not null,
    hash bytea not null check (octet_length(hash) = 32),
    size_bytes bigint not null check (size_bytes >= 0),
    created_at timestamptz not null default now(),
    primary key (tenant_id, storage_path)
);

create table tenant.codeaudit_upload (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    -- the task that scans it
    task_id uuid,
    file_name text not null,
    media_type text not null,
    storage_path text not null,
    size_bytes bigint not null check (size_bytes > 0),
    hash bytea not null check (octet_length(hash) = 32),
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references tenant.project (tenant_id, id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id),
    foreign key (tenant_id, storage_path) references tenant.blob (tenant_id, storage_path)
);
create index codeaudit_upload_task_idx on tenant.codeaudit_upload (tenant_id, task_id);

create table tenant.tool_execution (
    tenant_id uuid not null,
    id uuid not null,
    task_id uuid not null,
    attempt integer not null,
    tool text not null,
    tool_version text,
    args jsonb not null,
    -- null when a signal ended it
    exit_code integer,
    -- exited, timed_out, output_limit, cancelled, killed
    ended_by text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    stdout_ref uuid,
    stderr_ref uuid,
    metrics jsonb not null default '{}',
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);
create index tool_execution_task_idx on tenant.tool_execution (tenant_id, task_id, id);
create index tool_execution_created_idx on tenant.tool_execution (tenant_id, created_at);

create table tenant.artifact (
    tenant_id uuid not null,
    id uuid not null,
    task_id uuid not null,
    -- report, stdout, stderr, evidence, …
    kind text not null,
    name text not null,
    media_type text not null,
    storage_path text not null,
    size_bytes bigint not null check (size_bytes >= 0),
    hash bytea not null check (octet_length(hash) = 32),
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id),
    foreign key (tenant_id, storage_path) references tenant.blob (tenant_id, storage_path)
);
create index artifact_task_idx on tenant.artifact (tenant_id, task_id, id);
create index artifact_created_idx on tenant.artifact (tenant_id, created_at);

create table tenant.scan_result (
    tenant_id uuid not null,
    id uuid not null,
    task_id uuid not null,
    -- tamiz_core::summary::Summary
    summary jsonb not null,
    -- the first report's blob
    storage_path text,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint scan_result_task_key unique (tenant_id, task_id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);

create table tenant.finding (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    task_id uuid not null,
    source_tool text not null,
    rule_id text not null,
    rule_name text,
    -- 0 info, 1 low, 2 medium, 3 high, 4 critical
    severity smallint not null check (severity between 0 and 4),
    severity_raw text,
    -- 0 unknown, 1 low, 2 medium, 3 high
    confidence smallint not null check (confidence between 0 and 3),
    category text,
    cwe integer[] not null,
    cve text[] not null,
    cvss_vector text,
    title text not null,
    message text not null,
    remediation text,
    -- file, url, endpoint, domain, flow; null when the tool names no place
    location_kind text,
    -- the primary place in one word
    location_label text,
    file_path text,
    line integer check (line > 0),
    -- all places, tamiz_core::Location
    locations jsonb not null,
    refs jsonb not null,
    tags jsonb not null,
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    fingerprint_version smallint not null,
    tool_fingerprint text,
    evidence_ref uuid,
    extra jsonb not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    -- the task's own key holds the project: one check per row instead of two
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);

-- findings of a task or project, worst first
create index finding_task_severity_idx on tenant.finding (tenant_id, task_id, severity, id);
create index finding_project_severity_idx on tenant.finding (tenant_id, project_id, severity, id);
create index finding_tool_idx on tenant.finding (tenant_id, source_tool, severity);
create index finding_created_idx on tenant.finding (tenant_id, created_at);

do $$
declare name text;
begin
    for name in select tablename from pg_tables where schemaname = 'tenant' and tablename not like '\_sqlx%'
    loop
        execute format('alter table tenant.%I enable row level security', name);
        execute format('alter table tenant.%I force row level security', name);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid) '
            'with check (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)', name);
    end loop;
end $$;

create policy tokens_for_operator on tenant.api_token to tamiz_control using (true) with check (true);

grant usage on schema tenant to tamiz_app, tamiz_control;
grant select, insert on tenant.task_event, tenant.blob, tenant.artifact, tenant.tool_execution,
    tenant.scan_result, tenant.finding to tamiz_app;
grant select, insert, update on tenant.project, tenant.task, tenant.task_attempt,
    tenant.codeaudit_upload to tamiz_app;
-- a task sent back to the queue replaces what its earlier life left
grant delete on tenant.finding, tenant.scan_result to tamiz_app;
grant select, update on tenant.api_token to tamiz_app;
grant select, insert, update on tenant.api_token to tamiz_control;
