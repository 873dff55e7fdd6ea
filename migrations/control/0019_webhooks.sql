-- Deliveries of webhooks that wait, of all tenants: when, and no word of what or to where. A row is here as long as
-- its delivery waits.

create table control.webhook_due (
    tenant_id uuid not null references control.tenant (id),
    -- of the tenant's rows: no foreign keys, they may move to another database
    endpoint_id uuid not null,
    message_id uuid not null,
    due_at timestamptz not null default now(),
    -- a sender has it until then
    leased_until timestamptz,
    primary key (tenant_id, endpoint_id, message_id)
) with (fillfactor = 50);
-- the longest due of a tenant, tenant by tenant
create index webhook_due_idx on control.webhook_due (tenant_id, due_at);

alter table control.webhook_due enable row level security;
alter table control.webhook_due force row level security;
create policy own_deliveries on control.webhook_due to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy all_deliveries on control.webhook_due to tamiz_dispatch using (true) with check (true);
create policy operator on control.webhook_due for select to tamiz_control using (true);

grant select, insert, update, delete on control.webhook_due to tamiz_app;
grant select, update (leased_until) on control.webhook_due to tamiz_dispatch;
grant select on control.webhook_due to tamiz_control;
