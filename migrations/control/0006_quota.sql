-- What tenants may use, what they have used, and how much they store.
--
-- Limits are rows of a name and a number (tamiz_core::quota says the names): a tenant's own value holds
-- before its plan's, the platform's defaults are in the program. What a claim obeys is copied into
-- control.share by control.set_share, in the transaction that changes a limit.
--
--   meter                 one row per tenant; its lock makes the tenant's asks for tasks take turns
--   storage               one row per tenant: bytes that are stored, and reserved for bytes on their way
--   storage_reservation   who reserved them and until when; an expired one is counted back
--   quota_usage           what was used, in windows of 5 minutes
--   quota_refusal         how often which limit said no, and when that was last written to the audit log
--   blob_trash            bytes that no row refers to any more, to be deleted
--
-- Lock order: meter, the usage row of asks, tenant.task, storage_reservation, storage, the usage rows of ends and
-- of storage, and then the queue's (0005). Usage is a row per writer, so that asks and ends never wait for each
-- other.

create table control.plan_quota (
    plan text not null references control.plan (name),
    name text not null check (name ~ '^[a-z][a-z-]*(\.[a-z0-9-]+)?$' and octet_length(name) <= 200),
    value bigint not null check (value >= 0),
    primary key (plan, name)
);

create table control.tenant_quota (
    tenant_id uuid not null references control.tenant (id),
    name text not null check (name ~ '^[a-z][a-z-]*(\.[a-z0-9-]+)?$' and octet_length(name) <= 200),
    value bigint not null check (value >= 0),
    primary key (tenant_id, name)
);

create table control.meter (
    tenant_id uuid primary key references control.tenant (id)
);

create table control.storage (
    tenant_id uuid primary key references control.tenant (id),
    stored_bytes bigint not null default 0 check (stored_bytes >= 0),
    reserved_bytes bigint not null default 0 check (reserved_bytes >= 0)
) with (fillfactor = 50);

create table control.storage_reservation (
    tenant_id uuid not null references control.tenant (id),
    id uuid not null,
    bytes bigint not null check (bytes >= 0),
    -- of an attempt; none of an upload
    task_id uuid,
    attempt integer,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    primary key (tenant_id, id),
    check ((task_id is null) = (attempt is null))
);
-- what an attempt reserved
create unique index storage_reservation_attempt_idx on control.storage_reservation (tenant_id, task_id, attempt)
    where task_id is not null;
-- the sweep
create index storage_reservation_expiry_idx on control.storage_reservation (expires_at);

create table control.quota_usage (
    id bigint generated always as identity,
    tenant_id uuid not null references control.tenant (id),
    window_start timestamptz not null,
    window_end timestamptz not null,
    -- who writes the row: 0 asks for tasks, 1 ends of attempts, 2 the API's requests, 3 storage
    source smallint not null check (source between 0 and 3),
    requests_count bigint not null default 0 check (requests_count >= 0),
    tasks_count bigint not null default 0 check (tasks_count >= 0),
    tokens_used bigint not null default 0 check (tokens_used >= 0),
    -- newly stored
    storage_bytes bigint not null default 0 check (storage_bytes >= 0),
    compute_seconds double precision not null default 0 check (compute_seconds >= 0),
    primary key (tenant_id, window_start, source),
    check (window_end > window_start)
) with (fillfactor = 70);
-- old windows are deleted
create index quota_usage_window_idx on control.quota_usage (window_start);

create table control.quota_refusal (
    tenant_id uuid not null references control.tenant (id),
    name text not null check (octet_length(name) <= 200),
    refused_count bigint not null default 0,
    -- how many of them the audit log tells of
    audited_count bigint not null default 0,
    audited_at timestamptz,
    refused_at timestamptz not null default now(),
    primary key (tenant_id, name)
) with (fillfactor = 50);

-- Blobs without a row: nobody's from created_at on, perhaps gone from deleting_at on, gone at deleted_at. Bytes
-- that somebody puts again meanwhile are told apart by this row (server/store/src/retention.rs).
create table control.blob_trash (
    tenant_id uuid not null references control.tenant (id),
    storage_path text not null,
    created_at timestamptz not null default now(),
    deleting_at timestamptz,
    deleted_at timestamptz,
    primary key (tenant_id, storage_path)
);
-- the sweep
create index blob_trash_waiting_idx on control.blob_trash (created_at);

-- The window that a moment lies in.
create function control.usage_window(moment timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select to_timestamp(floor(extract(epoch from moment) / 300) * 300)
$$;

-- Reservations that ran out: deleted, and their bytes counted back. Answers how many.
create function control.expire_reservations(at_most integer) returns integer
language plpgsql as $$
declare n integer;
begin
    with late as (
        select tenant_id, id from control.storage_reservation where expires_at < now()
        order by expires_at limit at_most for update skip locked),
    gone as (
        delete from control.storage_reservation r using late
        where r.tenant_id = late.tenant_id and r.id = late.id
        returning r.tenant_id, r.bytes),
    sums as (select tenant_id, sum(bytes)::bigint as bytes, count(*) as reservations from gone group by 1),
    -- in order, because this holds several tenants' rows
    held as (
        select s.tenant_id from control.storage s join sums on sums.tenant_id = s.tenant_id
        order by 1 for update of s),
    back as (
        update control.storage s set reserved_bytes = greatest(0, s.reserved_bytes - sums.bytes)
        from sums join held on held.tenant_id = sums.tenant_id where s.tenant_id = sums.tenant_id
        returning sums.reservations)
    select coalesce(sum(reservations), 0) into n from back;
    return n;
end $$;

-- row-level security holds the owner, too
alter table control.tenant no force row level security;
alter table control.tenant disable row level security;
insert into control.meter (tenant_id) select id from control.tenant;
insert into control.tenant_quota (tenant_id, name, value)
    select id, 'upload-bytes', upload_bytes_max from control.tenant where upload_bytes_max is not null;
alter table control.tenant drop column upload_bytes_max;
alter table control.tenant enable row level security;
alter table control.tenant force row level security;

-- tenants that are there already get the platform's limits (server/core/src/quota.rs), as new ones do
alter table control.share disable row level security;
insert into control.share (tenant_id, running_max, starts_hour_max, starts_day_max)
    select tenant_id, 64, 10000, 50000 from control.meter
    on conflict (tenant_id) do update set running_max = excluded.running_max,
        starts_hour_max = excluded.starts_hour_max, starts_day_max = excluded.starts_day_max;
alter table control.share enable row level security;

-- What is stored already. The tenant schema is migrated after this one and may not be there yet.
do $$
begin
    if to_regclass('tenant.blob') is not null then
        execute 'alter table tenant.blob disable row level security';
        execute 'insert into control.storage (tenant_id, stored_bytes)
                 select m.tenant_id, coalesce(sum(b.size_bytes), 0)
                 from control.meter m left join tenant.blob b on b.tenant_id = m.tenant_id group by 1';
        execute 'alter table tenant.blob enable row level security';
    else
        insert into control.storage (tenant_id) select tenant_id from control.meter;
    end if;
end $$;

do $$
declare name text;
begin
    foreach name in array array['plan_quota', 'tenant_quota', 'meter', 'storage', 'storage_reservation',
                                'quota_usage', 'quota_refusal', 'blob_trash']
    loop
        execute format('alter table control.%I enable row level security', name);
        execute format('alter table control.%I force row level security', name);
    end loop;
    foreach name in array array['meter', 'storage', 'storage_reservation', 'quota_usage', 'quota_refusal', 'blob_trash']
    loop
        execute format(
            'create policy own_rows on control.%I to tamiz_app '
            'using (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid) '
            'with check (tenant_id = nullif(current_setting(''tamiz.tenant_id'', true), '''')::uuid)', name);
    end loop;
    foreach name in array array['plan_quota', 'tenant_quota', 'meter', 'storage', 'quota_usage', 'quota_refusal']
    loop
        execute format('create policy operator on control.%I to tamiz_control using (true) with check (true)', name);
    end loop;
    foreach name in array array['storage', 'storage_reservation', 'quota_usage', 'blob_trash']
    loop
        execute format('create policy upkeep on control.%I to tamiz_dispatch using (true) with check (true)', name);
    end loop;
end $$;
create policy upkeep on control.quota_refusal for select to tamiz_dispatch using (true);
create policy own_plan on control.plan_quota for select to tamiz_app
    using (exists (select from control.tenant where tenant.plan = plan_quota.plan));
create policy own_limits on control.tenant_quota for select to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);

grant select on control.plan_quota, control.tenant_quota to tamiz_app;
grant select, insert, update on control.meter, control.storage, control.quota_usage, control.quota_refusal
    to tamiz_app;
grant select, insert, update, delete on control.storage_reservation to tamiz_app;
grant select, insert, delete, update on control.blob_trash to tamiz_app;
grant select, update, delete on control.blob_trash to tamiz_dispatch;
grant select, insert, update, delete on control.plan_quota, control.tenant_quota to tamiz_control;
grant select, insert on control.meter, control.storage to tamiz_control;
grant select on control.quota_usage, control.quota_refusal to tamiz_control;
grant select, update on control.storage to tamiz_dispatch;
grant select, delete, update on control.storage_reservation to tamiz_dispatch;
grant select, insert, update, delete on control.quota_usage to tamiz_dispatch;
grant select on control.quota_refusal to tamiz_dispatch;
