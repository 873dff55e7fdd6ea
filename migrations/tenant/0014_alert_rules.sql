-- Rules that act on a project's alerts by themselves. A project has few, so they are read whole (tamiz_core::alert_rule).
create table tenant.alert_rule (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    name text not null,
    -- rules are asked in this order, equals by age
    position smallint not null,
    enabled boolean not null,
    -- tamiz_core::alert_rule::Conditions and Action
    conditions jsonb not null,
    action jsonb not null,
    made_by text not null,
    made_at timestamptz not null default now(),
    changed_by text not null,
    changed_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint alert_rule_name_key unique (tenant_id, project_id, name),
    foreign key (tenant_id, project_id) references tenant.project (tenant_id, id)
);

-- The rule that did it; null where a person, a task or the platform did. Rules leave alone what a person decided.
alter table tenant.alert_event add column rule_id uuid;

alter table tenant.alert_rule enable row level security;
alter table tenant.alert_rule force row level security;
create policy own_rows on tenant.alert_rule to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
grant select, insert, update, delete on tenant.alert_rule to tamiz_app;
