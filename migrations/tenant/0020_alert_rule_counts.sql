-- How many open alerts a project has of each rule of a tool: what rules give people most to do. Serves
-- `Project.topRules` and `Tenant.topRules` by the primary key. Kept like alert_count, in the transaction that changes the
-- alerts, which holds the project.
create table tenant.alert_rule_count (
    tenant_id uuid not null,
    project_id uuid not null,
    -- of what the alert shows: finding_content.source_tool and .rule_id
    tool text not null,
    rule_id text not null,
    -- open and reopened
    alerts integer not null check (alerts >= 0),
    primary key (tenant_id, project_id, tool, rule_id)
) with (fillfactor = 50);

-- what there is already; without this the owner sees no rows either
alter table tenant.alert no force row level security;
alter table tenant.finding_content no force row level security;
insert into tenant.alert_rule_count (tenant_id, project_id, tool, rule_id, alerts)
select a.tenant_id, a.project_id, c.source_tool, c.rule_id, count(*)
from tenant.alert a
join tenant.finding_content c on c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.content_id
where a.state in (0, 1)
group by 1, 2, 3, 4;
alter table tenant.alert force row level security;
alter table tenant.finding_content force row level security;

alter table tenant.alert_rule_count enable row level security;
alter table tenant.alert_rule_count force row level security;
create policy own_rows on tenant.alert_rule_count to tamiz_app
    using (tenant_id = (select nullif(current_setting('tamiz.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('tamiz.tenant_id', true), '')::uuid));
grant select, insert, update on tenant.alert_rule_count to tamiz_app;
