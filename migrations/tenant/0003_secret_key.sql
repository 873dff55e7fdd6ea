-- What secrets that scanners found are hashed with, so that the same secret is known again without being
-- kept. One random key per tenant, beside its rows, because they move together.
create table tenant.secret_key (
    tenant_id uuid primary key,
    key bytea not null check (octet_length(key) = 32),
    created_at timestamptz not null default now()
);

alter table tenant.secret_key enable row level security;
alter table tenant.secret_key force row level security;
create policy own_rows on tenant.secret_key to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);

grant select, insert on tenant.secret_key to tamiz_app;
