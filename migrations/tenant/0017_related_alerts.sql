-- Which alerts may be related (tamiz_core::related): those whose weakness is at one place, and those that name one
-- advisory. Alerts from before have neither until a scan finds them changed, or `tamiz fingerprints rehash --all`.

-- The hash of the place where its weaknesses are; null without one of its own.
alter table tenant.alert add column weakness_place uuid;
-- alerts whose weakness is at the same place
create index alert_weakness_place_idx on tenant.alert (tenant_id, project_id, weakness_place)
    where weakness_place is not null;

-- The advisories that alerts name, or named once.
create table tenant.alert_advisory (
    tenant_id uuid not null,
    project_id uuid not null,
    -- tamiz_core::Advisory
    advisory text not null check (octet_length(advisory) between 1 and 64),
    alert_id uuid not null,
    primary key (tenant_id, project_id, advisory, alert_id)
);

-- What the findings of a project tell to be of one flaw (tamiz_core::aliases), each pair both ways.
create table tenant.advisory_alias (
    tenant_id uuid not null,
    project_id uuid not null,
    advisory text not null check (octet_length(advisory) between 1 and 64),
    alias text not null check (octet_length(alias) between 1 and 64),
    primary key (tenant_id, project_id, advisory, alias)
);

do $$
declare name text;
begin
    foreach name in array array['alert_advisory', 'advisory_alias']
    loop
        execute format('alter table tenant.%I enable row level security', name);
        execute format('alter table tenant.%I force row level security', name);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = (select nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)) '
            'with check (tenant_id = (select nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid))', name);
    end loop;
end $$;

grant select, insert on tenant.alert_advisory, tenant.advisory_alias to tamiz_app;
