-- Mutations that may be sent again: what a client called a request, what it was, and what it was answered. A row is
-- written before the mutation is carried out, and marked in the transaction that writes, so that what became of a
-- request outlives the server that had it. Rows go a day later.
create table tenant.idempotency_key (
    tenant_id uuid not null,
    -- of the run that has the key now: a run that was given up finds itself no more, and writes nothing
    id uuid not null,
    -- whose key: one token knows nothing of another's
    token_id uuid not null,
    key text not null check (octet_length(key) between 1 and 255),
    -- SHA-256 of document, operation and variables
    request_hash bytea not null check (octet_length(request_hash) = 32),
    -- begun: nothing is written yet; applied: something is, the answer is not; answered: it is over
    state text not null default 'begun' check (state in ('begun', 'applied', 'answered')),
    -- null after all: too large to be kept, or secret
    answer text check (octet_length(answer) <= 262144),
    begun_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    primary key (tenant_id, id),
    check (answer is null or state = 'answered')
) with (fillfactor = 70);
-- what a client calls it
create unique index idempotency_key_key on tenant.idempotency_key (tenant_id, token_id, key);
-- the sweep of old ones, and how many there are
create index idempotency_key_expiry_idx on tenant.idempotency_key (tenant_id, expires_at);

alter table tenant.idempotency_key enable row level security;
alter table tenant.idempotency_key force row level security;
create policy own_rows on tenant.idempotency_key to tamiz_app
    using (tenant_id = (select nullif(current_setting('tamiz.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('tamiz.tenant_id', true), '')::uuid));
grant select, insert, update, delete on tenant.idempotency_key to tamiz_app;

-- Admins of a tenant make tokens for it; until now only the operator did.
grant insert on tenant.api_token to tamiz_app;
-- a project's uploads, newest first
create index codeaudit_upload_project_idx on tenant.codeaudit_upload (tenant_id, project_id, id);
-- what happened of one kind, newest first
create index audit_log_action_idx on tenant.audit_log (tenant_id, action, created_at);
