-- How fast the queue goes: what was claimed and ended in each minute, and how long tickets had waited when they
-- were claimed. Every process adds what it saw every few seconds; one that is killed loses those. Rows of a
-- quarter of an hour are kept.
--
-- The primary key serves the sums of one tenant, queue_pace_minute_idx those of all, and the deleting.
create table control.queue_pace (
    tenant_id uuid not null,
    scan_type text not null,
    minute timestamptz not null,
    claimed bigint not null,
    ended bigint not null,
    -- claims by how long the ticket had been ready; the bounds are in server/store/src/pace.rs
    waits bigint[] not null,
    primary key (tenant_id, scan_type, minute)
) with (fillfactor = 70);
create index queue_pace_minute_idx on control.queue_pace (minute);

-- Adds one process's counts. The arrays are parallel; `p_waits` has `p_buckets` numbers for each.
create function control.add_pace(p_tenants uuid[], p_types text[], p_claimed bigint[], p_ended bigint[],
                                 p_waits bigint[], p_buckets integer) returns void
language sql as $$
    insert into control.queue_pace as p (tenant_id, scan_type, minute, claimed, ended, waits)
    select x.tenant, x.type, date_trunc('minute', now()), x.claimed, x.ended,
           p_waits[(x.n - 1) * p_buckets + 1 : x.n * p_buckets]
    from unnest(p_tenants, p_types, p_claimed, p_ended) with ordinality x(tenant, type, claimed, ended, n)
    order by 1, 2
    on conflict (tenant_id, scan_type, minute) do update set
        claimed = p.claimed + excluded.claimed, ended = p.ended + excluded.ended,
        waits = array(select coalesce(a, 0) + coalesce(b, 0)
                      from unnest(p.waits, excluded.waits) with ordinality w(a, b, n) order by n)
$$;

alter table control.queue_pace enable row level security;
alter table control.queue_pace force row level security;
create policy own_pace on control.queue_pace for select to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy all_pace on control.queue_pace to tamiz_dispatch using (true) with check (true);
create policy operator on control.queue_pace for select to tamiz_control using (true);
grant select on control.queue_pace to tamiz_app, tamiz_control;
grant select, insert, update, delete on control.queue_pace to tamiz_dispatch;

-- the oldest tickets of some lanes are looked at
create policy tickets_for_operator on control.ticket for select to tamiz_control using (true);
grant select on control.ticket to tamiz_control;
