-- Webhooks: who wants to hear what, what there was to tell, and how telling it went. A message is written by the
-- transaction that made the change; its deliveries wait in control.webhook_due. No foreign keys: all go by age, in
-- batches, and an endpoint may go before what was sent to it.

create table tenant.webhook_endpoint (
    tenant_id uuid not null,
    id uuid not null,
    url text not null check (octet_length(url) between 1 and 2048),
    -- tamiz_core::webhook::EventType
    events text[] not null check (cardinality(events) between 1 and 32),
    -- null means all
    project_ids uuid[] check (cardinality(project_ids) between 1 and 100),
    -- the bytes behind whsec_
    secret bytea not null check (octet_length(secret) between 24 and 64),
    -- what it was, and until when both sign
    old_secret bytea check (octet_length(old_secret) between 24 and 64),
    old_secret_until timestamptz,
    disabled_at timestamptz,
    disabled_reason text check (disabled_reason in ('by-hand', 'gone', 'failing')),
    -- since when nothing has come through
    failing_since timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    check ((disabled_at is null) = (disabled_reason is null)),
    check ((old_secret is null) = (old_secret_until is null))
);

create table tenant.webhook_message (
    tenant_id uuid not null,
    -- a UUIDv7, so in order of time: the sweep of old ones goes by it
    id uuid not null,
    type text not null,
    -- null: a test
    project_id uuid,
    -- what is sent and signed, byte by byte
    body text not null check (octet_length(body) <= 1048576),
    created_at timestamptz not null default now(),
    primary key (tenant_id, id)
);

-- A message on its way to an endpoint. The key serves the log of an endpoint, the newest first.
create table tenant.webhook_delivery (
    tenant_id uuid not null,
    endpoint_id uuid not null,
    message_id uuid not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
    -- all, and of these since it was last replayed
    attempts integer not null default 0,
    tries integer not null default 0,
    -- null once it has ended
    next_at timestamptz default now(),
    finished_at timestamptz,
    primary key (tenant_id, endpoint_id, message_id),
    check ((state = 'waiting') = (next_at is not null)),
    check ((state = 'waiting') = (finished_at is null))
) with (fillfactor = 80);
-- what failed, to be replayed
create index webhook_delivery_failed_idx on tenant.webhook_delivery (tenant_id, endpoint_id, message_id)
    where state = 'failed';
-- what goes with its message
create index webhook_delivery_message_idx on tenant.webhook_delivery (tenant_id, message_id);

create table tenant.webhook_attempt (
    tenant_id uuid not null,
    endpoint_id uuid not null,
    message_id uuid not null,
    attempt integer not null,
    started_at timestamptz not null,
    duration_ms integer not null check (duration_ms >= 0),
    -- null: there was no answer
    status_code smallint,
    error text check (octet_length(error) <= 4096),
    -- the beginning of the answer
    answer text check (octet_length(answer) <= 16384),
    primary key (tenant_id, endpoint_id, message_id, attempt)
);

-- Acceptances whose end was told: of this alert, that it ends then.
create table tenant.webhook_expiry_told (
    tenant_id uuid not null,
    alert_id uuid not null,
    dismissed_until timestamptz not null,
    primary key (tenant_id, alert_id)
);
-- the sweep of those that are over
create index webhook_expiry_told_idx on tenant.webhook_expiry_told (tenant_id, dismissed_until);

do $$
declare name text;
begin
    foreach name in array array['webhook_endpoint', 'webhook_message', 'webhook_delivery', 'webhook_attempt',
                                'webhook_expiry_told']
    loop
        execute format('alter table tenant.%I enable row level security', name);
        execute format('alter table tenant.%I force row level security', name);
        execute format(
            'create policy own_rows on tenant.%I to tamiz_app '
            'using (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid) '
            'with check (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)', name);
    end loop;
end $$;

grant select, insert, update, delete on tenant.webhook_endpoint, tenant.webhook_delivery, tenant.webhook_expiry_told
    to tamiz_app;
grant select, insert, delete on tenant.webhook_message, tenant.webhook_attempt to tamiz_app;
