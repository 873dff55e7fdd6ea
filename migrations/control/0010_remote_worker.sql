-- Workers that do not have the database: what they show to be let in, and what signs the right to one task
-- that a claim gives them.

-- The operator's tokens; the unique hash serves each request of such a worker.
create table control.worker_token (
    id uuid primary key,
    name text not null check (char_length(name) between 1 and 200),
    -- SHA-256 of the token
    hash bytea not null unique check (octet_length(hash) = 32),
    hint text not null check (char_length(hint) <= 16),
    -- what its workers may claim; null is everything
    scan_types text[] check (cardinality(scan_types) between 1 and 100),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

-- One row, which the first server makes that needs it.
create table control.lease_key (
    one boolean primary key default true check (one),
    key bytea not null check (octet_length(key) = 32),
    created_at timestamptz not null default now()
);

-- the token that a worker registered with; none has the database
alter table control.worker add column token_id uuid references control.worker_token (id);

alter table control.worker_token enable row level security;
alter table control.worker_token force row level security;
alter table control.lease_key enable row level security;
alter table control.lease_key force row level security;
create policy operator on control.worker_token to tamiz_control using (true) with check (true);
create policy door on control.worker_token to tamiz_dispatch using (true) with check (true);
create policy door on control.lease_key to tamiz_dispatch using (true) with check (true);

grant select, insert on control.worker_token to tamiz_control;
grant update (revoked_at) on control.worker_token to tamiz_control;
grant select on control.worker_token to tamiz_dispatch;
grant update (last_used_at) on control.worker_token to tamiz_dispatch;
grant select, insert on control.lease_key to tamiz_dispatch;
