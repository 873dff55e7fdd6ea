-- Tokens of operators: they open what belongs to no tenant (the queue, the workers) and nothing of a tenant.
-- The unique hash serves the look-up.
create table control.operator_token (
    id uuid primary key,
    name text not null check (char_length(name) between 1 and 200),
    hash bytea not null unique check (octet_length(hash) = 32),
    -- the first characters of the secret
    hint text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

alter table control.operator_token enable row level security;
alter table control.operator_token force row level security;
create policy operator on control.operator_token to tamiz_control using (true) with check (true);
grant select, insert, update on control.operator_token to tamiz_control;
