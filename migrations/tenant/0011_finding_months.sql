-- Findings become small: what a record says is stored once per project, however many scans say it, and findings go by the
-- month in which they expire, a partition each, so that none is ever deleted row by row.

-- What records say, by a hash of it (tamiz_core::occurrence). An alert shows its newest one.
create table tenant.finding_content (
    tenant_id uuid not null,
    project_id uuid not null,
    id uuid not null,
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
    cvss_score numeric(3, 1),
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
    tool_fingerprint text,
    extra jsonb not null,
    primary key (tenant_id, project_id, id)
);

-- the owner copies all tenants' rows
alter table tenant.finding_occurrence no force row level security;
alter table tenant.finding no force row level security;
alter table tenant.finding_occurrence rename to finding_occurrence_before;
alter table tenant.finding rename to finding_before;
alter index tenant.finding_task_severity_idx rename to finding_before_task_idx;
alter index tenant.finding_project_severity_idx rename to finding_before_project_idx;
alter index tenant.finding_tool_idx rename to finding_before_tool_idx;
alter index tenant.finding_created_idx rename to finding_before_created_idx;
alter table tenant.finding_before rename constraint finding_pkey to finding_before_pkey;
alter table tenant.finding_occurrence_before rename constraint finding_occurrence_pkey to finding_occurrence_before_pkey;

-- One task's sighting of a flaw. No foreign key: the task's row is locked by whoever writes its findings, and a key
-- would have to be checked row by row before a month could go.
create table tenant.finding (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    task_id uuid not null,
    -- null in findings from before there were alerts, and of attempts that failed
    alert_id uuid,
    content_id uuid not null,
    source_tool text not null,
    severity smallint not null check (severity between 0 and 4),
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    fingerprint_version smallint not null,
    evidence_ref uuid,
    -- the first day on which nobody wants it; the first of a month, or 9999-12-31
    expires_on date not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id, expires_on)
) partition by range (expires_on);
-- findings of a task or project, worst first
create index finding_task_severity_idx on tenant.finding (tenant_id, task_id, severity, id);
create index finding_project_severity_idx on tenant.finding (tenant_id, project_id, severity, id);

-- See 0004: records that say what an earlier one of the same report said.
create table tenant.finding_occurrence (
    tenant_id uuid not null,
    finding_id uuid not null,
    ordinal integer not null check (ordinal > 0),
    locations jsonb not null,
    report_offset bigint,
    report_length bigint,
    expires_on date not null,
    primary key (tenant_id, finding_id, ordinal, expires_on)
) partition by range (expires_on);

-- when the findings of this task go; null of results from before
alter table tenant.scan_result add column findings_expire_on date;

-- a task sent back to the queue replaces what its earlier life left
grant select, insert, delete on tenant.finding_content, tenant.finding, tenant.finding_occurrence to tamiz_app;

-- Makes the partitions for findings that expire on this first of a month; true when it made them. With the owner's
-- rights, for only the owner of a table makes its partitions; it takes a date and makes all names itself.
create function tenant.open_finding_month(p_expires_on date) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    parent text;
    part text;
    first date := p_expires_on;
    beyond text := quote_literal(p_expires_on + interval '1 month');
begin
    if p_expires_on is null or (p_expires_on <> '9999-12-31' and (p_expires_on <> date_trunc('month', p_expires_on)::date
        or p_expires_on not between current_date and current_date + 3720)) then
        raise exception 'open_finding_month: the first of a month within ten years, or 9999-12-31';
    end if;
    if p_expires_on = '9999-12-31' then beyond := 'maxvalue'; end if;
    perform pg_advisory_xact_lock(hashtextextended('tenant.open_finding_month', 0));
    if to_regclass('tenant.finding_' || to_char(first, 'YYYY_MM')) is not null then return false; end if;
    foreach parent in array array['finding', 'finding_occurrence']
    loop
        part := parent || '_' || to_char(first, 'YYYY_MM');
        -- made apart and attached: the parent stays open for readers and writers meanwhile
        execute format('create table tenant.%I (like tenant.%I including all)', part, parent);
        execute format('alter table tenant.%I enable row level security', part);
        execute format('alter table tenant.%I force row level security', part);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = (select nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)) '
            'with check (tenant_id = (select nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid))', part);
        execute format('alter table tenant.%I attach partition tenant.%I for values from (%L) to (%s)',
            parent, part, first, beyond);
    end loop;
    return true;
end $$;

-- Drops the partitions whose day has come; answers how many months went.
create function tenant.drop_finding_months() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' set timezone = 'UTC' as $$
declare
    old record;
    gone integer := 0;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('tenant.drop_finding_months', 0)) then return 0; end if;
    for old in
        select right(c.relname, 7) as month
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'tenant.finding'::regclass and c.relname ~ '^finding_\d{4}_\d{2}$'
          and to_date(right(c.relname, 7), 'YYYY_MM') <= current_date
    loop
        execute format('drop table tenant.%I, tenant.%I', 'finding_occurrence_' || old.month, 'finding_' || old.month);
        gone := gone + 1;
    end loop;
    return gone;
end $$;

revoke all on function tenant.open_finding_month(date), tenant.drop_finding_months() from public;
grant execute on function tenant.open_finding_month(date), tenant.drop_finding_months() to tamiz_control;

select tenant.open_finding_month('9999-12-31');

insert into tenant.finding_content
    (tenant_id, project_id, id, source_tool, rule_id, rule_name, severity, severity_raw, confidence, category, cwe, cve,
     cvss_vector, cvss_score, title, message, remediation, location_kind, location_label, file_path, line, locations,
     refs, tags, tool_fingerprint, extra)
select tenant_id, project_id, id, source_tool, rule_id, rule_name, severity, severity_raw, confidence, category, cwe, cve,
       cvss_vector, cvss_score, title, message, remediation, location_kind, location_label, file_path, line, locations,
       refs, tags, tool_fingerprint, extra
from tenant.finding_before;
insert into tenant.finding
    (tenant_id, id, project_id, task_id, content_id, source_tool, severity, fingerprint, fingerprint_version,
     evidence_ref, expires_on, created_at)
select tenant_id, id, project_id, task_id, id, source_tool, severity, fingerprint, fingerprint_version, evidence_ref,
       '9999-12-31', created_at
from tenant.finding_before;
insert into tenant.finding_occurrence
select tenant_id, finding_id, ordinal, locations, report_offset, report_length, '9999-12-31'
from tenant.finding_occurrence_before;
drop table tenant.finding_occurrence_before;
drop table tenant.finding_before;

do $$
declare name text;
begin
    foreach name in array array['finding_content', 'finding', 'finding_occurrence']
    loop
        execute format('alter table tenant.%I enable row level security', name);
        execute format('alter table tenant.%I force row level security', name);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid) '
            'with check (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)', name);
    end loop;
end $$;
