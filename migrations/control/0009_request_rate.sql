-- How far each tenant's requests have used up their rate, for all servers together: GCRA, one row per tenant
-- (the formula is in server/core/src/rate.rs).
--
-- Unlogged: a row is worth seconds, every request of a tenant writes it, and a crash of Postgres, which
-- empties the table, only forgives. On a logged table with durable commits one busy tenant got 250 requests
-- a second through.
create unlogged table control.request_rate (
    tenant_id uuid primary key,
    -- the theoretical arrival time of the next request: when the account is empty again
    arrival timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);

alter table control.request_rate enable row level security;
alter table control.request_rate force row level security;
create policy all_rates on control.request_rate to tamiz_dispatch using (true) with check (true);
grant select, insert, update on control.request_rate to tamiz_dispatch;

-- Takes up to `asked` requests at once, each `spacing` after the one before, at most `burst` ahead of time.
-- Answers how many may pass, and the seconds until the next one may.
--
-- The clock is read under the row's lock, so it never runs backwards from one caller to the next. An arrival
-- further ahead than the burst allows is from before a tighter limit or a clock that was set back: it counts
-- as a full account, or the tenant would wait for that clock.
create function control.take_requests(
    tenant uuid, asked integer, spacing interval, burst integer, out granted integer, out wait_seconds double precision
) language plpgsql set search_path = control as $$
declare
    ahead timestamptz;
    since timestamptz;
    full_at timestamptz;
begin
    select arrival into ahead from request_rate where tenant_id = tenant for update;
    if not found then
        insert into request_rate values (tenant, '-infinity') on conflict do nothing;
        select arrival into ahead from request_rate where tenant_id = tenant for update;
    end if;
    since := clock_timestamp();
    full_at := since + burst * spacing;
    ahead := least(greatest(ahead, since), full_at);
    granted := least(asked, floor(extract(epoch from full_at - ahead) / extract(epoch from spacing))::integer);
    ahead := ahead + granted * spacing;
    update request_rate set arrival = ahead where tenant_id = tenant and (granted > 0 or arrival > full_at);
    wait_seconds := greatest(0, extract(epoch from ahead + spacing - full_at));
end $$;
revoke all on function control.take_requests from public;
grant execute on function control.take_requests to tamiz_dispatch;
