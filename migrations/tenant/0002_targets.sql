-- What tasks without an upload go to, and what a capture held.
--
-- A target's row keeps the addresses that its host had when the task was asked for; nothing else is
-- contacted for it. One row per task, in the table of its kind; the primary keys serve the one query
-- there is: the targets of these tasks. pcap_session is written with the task's findings.

create table tenant.webscan_target (
    tenant_id uuid not null,
    task_id uuid not null,
    -- as the URL standard writes it
    url text not null check (octet_length(url) between 1 and 4096),
    -- what the scan was told besides: the profile
    flags jsonb not null default '{}',
    addresses text[] not null check (cardinality(addresses) between 1 and 64),
    created_at timestamptz not null default now(),
    primary key (tenant_id, task_id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);

create table tenant.ssl_target (
    tenant_id uuid not null,
    task_id uuid not null,
    -- a name, or an address without brackets
    host text not null check (octet_length(host) between 1 and 253),
    port integer not null check (port between 1 and 65535),
    flags jsonb not null default '{}',
    addresses text[] not null check (cardinality(addresses) between 1 and 64),
    created_at timestamptz not null default now(),
    primary key (tenant_id, task_id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);

create table tenant.osint_target (
    tenant_id uuid not null,
    task_id uuid not null,
    target_type text not null check (target_type in ('domain', 'email', 'username')),
    target_value text not null check (octet_length(target_value) between 1 and 320),
    -- as flags of the others
    scope jsonb not null default '{}',
    -- none for people: they are asked about elsewhere, never contacted
    addresses text[] not null check (cardinality(addresses) <= 64),
    created_at timestamptz not null default now(),
    primary key (tenant_id, task_id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id)
);

create table tenant.pcap_session (
    tenant_id uuid not null,
    task_id uuid not null,
    -- the capture's artifact
    capture_ref uuid,
    packet_count bigint not null check (packet_count >= 0),
    -- packets and bytes by protocol, as the plugin counted them
    protocol_stats jsonb not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, task_id),
    foreign key (tenant_id, task_id) references tenant.task (tenant_id, id),
    foreign key (tenant_id, capture_ref) references tenant.artifact (tenant_id, id)
);

do $$
declare name text;
begin
    foreach name in array array['webscan_target', 'ssl_target', 'osint_target', 'pcap_session']
    loop
        execute format('alter table tenant.%I enable row level security', name);
        execute format('alter table tenant.%I force row level security', name);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid) '
            'with check (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)', name);
    end loop;
end $$;

grant select, insert on tenant.webscan_target, tenant.ssl_target, tenant.osint_target, tenant.pcap_session
    to tamiz_app;
-- a task sent back to the queue replaces what its earlier life left
grant delete on tenant.pcap_session to tamiz_app;
