-- Installed plugins: what each said about itself, what an operator allows it, which one serves a scan type.
--
-- The bytes lie in the blob store under p/plugin/<sha256>; a row is written after them. A row with a
-- tenant is that tenant's alone, one without is everybody's. Requests of a tenant read these tables and
-- write their own choice; grants, limits, states and plans are the operator's. The tables are small (a few
-- rows per tenant at most), so their unique keys serve all queries.

create table control.plan (
    name text primary key check (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    -- null is the platform's own limit
    memory_bytes bigint check (memory_bytes > 0),
    deadline_seconds bigint check (deadline_seconds > 0),
    findings_max bigint check (findings_max > 0),
    finding_bytes_max bigint check (finding_bytes_max > 0),
    artifact_bytes_max bigint check (artifact_bytes_max > 0),
    log_lines_max bigint check (log_lines_max > 0),
    instances_max bigint check (instances_max > 0)
);
-- before row-level security is forced, which holds the owner, too
insert into control.plan (name) values ('standard');

alter table control.tenant add column plan text not null default 'standard' references control.plan (name);

create table control.plugin (
    id uuid primary key,
    -- null is the whole platform
    tenant_id uuid references control.tenant (id),
    name text not null check (octet_length(name) between 1 and 1024),
    version text not null check (octet_length(version) between 1 and 64),
    sha256 bytea not null check (octet_length(sha256) = 32),
    size_bytes bigint not null check (size_bytes > 0),
    -- of the contract, such as 1.0
    world text not null,
    scan_type text not null,
    -- [{"name": …, "tools": […]}]
    formats jsonb not null,
    options_schema jsonb not null,
    -- what it wants beyond conversion; open words
    capabilities text[] not null,
    source text not null check (source in ('bundled', 'installed')),
    -- the file or the reference that it came from
    origin text not null,
    -- the key that its signature was checked with
    signed_by text,
    -- disabled by an operator; retired because a newer one of its name replaced it
    state text not null default 'active' check (state in ('active', 'disabled', 'retired')),
    installed_at timestamptz not null default now(),
    -- null is the plan's or the platform's limit
    memory_bytes bigint check (memory_bytes > 0),
    deadline_seconds bigint check (deadline_seconds > 0),
    findings_max bigint check (findings_max > 0),
    finding_bytes_max bigint check (finding_bytes_max > 0),
    artifact_bytes_max bigint check (artifact_bytes_max > 0),
    log_lines_max bigint check (log_lines_max > 0),
    instances_max bigint check (instances_max > 0),
    constraint plugin_digest_key unique nulls not distinct (tenant_id, sha256),
    -- what a choice refers to: it can only be of a plugin of its scan type
    constraint plugin_scan_type_key unique (id, scan_type)
);
create unique index plugin_version_key on control.plugin (tenant_id, name, version) nulls not distinct
    where state <> 'retired';

create table control.plugin_grant (
    plugin_id uuid not null references control.plugin (id),
    capability text not null check (capability in ('network', 'clock', 'randomness')),
    granted_at timestamptz not null default now(),
    primary key (plugin_id, capability)
);

create table control.plugin_choice (
    -- null is the platform's default
    tenant_id uuid references control.tenant (id),
    scan_type text not null,
    plugin_id uuid not null,
    chosen_at timestamptz not null default now(),
    constraint plugin_choice_key unique nulls not distinct (tenant_id, scan_type),
    foreign key (plugin_id, scan_type) references control.plugin (id, scan_type)
);

alter table control.plan enable row level security;
alter table control.plan force row level security;
alter table control.plugin enable row level security;
alter table control.plugin force row level security;
alter table control.plugin_grant enable row level security;
alter table control.plugin_grant force row level security;
alter table control.plugin_choice enable row level security;
alter table control.plugin_choice force row level security;

-- the tenant row that a transaction sees is its own
create policy own_plan on control.plan for select to tamiz_app
    using (exists (select from control.tenant where tenant.plan = plan.name));
create policy own_plugins on control.plugin for select to tamiz_app
    using (tenant_id is null or tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy grants_of_own_plugins on control.plugin_grant for select to tamiz_app
    using (exists (select from control.plugin where plugin.id = plugin_grant.plugin_id));
create policy choices_seen on control.plugin_choice for select to tamiz_app
    using (tenant_id is null or tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
-- a foreign key would let a foreign plugin pass: it does not look through row-level security
create policy own_choices_made on control.plugin_choice for insert to tamiz_app
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid
        and exists (select from control.plugin where plugin.id = plugin_choice.plugin_id));
create policy own_choices_changed on control.plugin_choice for update to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid
        and exists (select from control.plugin where plugin.id = plugin_choice.plugin_id));
create policy own_choices_taken_back on control.plugin_choice for delete to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);

create policy operator on control.plan to tamiz_control using (true) with check (true);
create policy operator on control.plugin to tamiz_control using (true) with check (true);
create policy operator on control.plugin_grant to tamiz_control using (true) with check (true);
-- not even the operator makes one tenant's plugin serve another
create policy operator on control.plugin_choice to tamiz_control using (true)
    with check (exists (select from control.plugin where plugin.id = plugin_choice.plugin_id
        and (plugin.tenant_id is null or plugin.tenant_id = plugin_choice.tenant_id)));

grant select on control.plan, control.plugin, control.plugin_grant to tamiz_app;
grant select, insert, update, delete on control.plugin_choice to tamiz_app;
grant select, insert, update on control.plan, control.plugin to tamiz_control;
grant select, insert, update, delete on control.plugin_grant, control.plugin_choice to tamiz_control;
