-- How tickets leave the queue and come back to it, and its care: putting lanes right, pauses, shares, counting
-- anew.
--
-- Words, invariants and lock order are those of 0005.

-- The tickets of these attempts go, whatever their state: a lease may have run out without another claim. A
-- null attempt means a ticket that nobody holds. Answers the tickets that went; stale attempts are
-- not among them. The first row has the classes of what a limit held back until now. Call it last.
create function control.queue_remove(p_tenants uuid[], p_tasks uuid[], p_attempts integer[])
returns table (r_tenant uuid, r_task uuid, r_attempt integer, r_opened integer[])
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    ids uuid[];
    ats integer[];
    ts uuid[];
    cs integer[];
    ws integer[];
    ss integer[];
    rs integer[];
    hs bigint[];
    opened integer[];
begin
    with gone as (
        -- in the order of their keys, as everybody who locks several tickets
        delete from control.ticket t using (select * from unnest(p_tenants, p_tasks, p_attempts) order by 1, 2)
            x(tenant_id, task_id, attempt)
        where t.tenant_id = x.tenant_id and t.task_id = x.task_id
          and (t.attempt = x.attempt or x.attempt is null and t.state + 0 <> 1)
        returning t.tenant_id, t.class_id, t.task_id, t.attempt, t.state)
    select array_agg(task_id), array_agg(attempt), array_agg(tenant_id), array_agg(class_id),
           array_agg(-(state = 0)::int), array_agg(-(state = 2)::int), array_agg(-(state = 1)::int),
           array_agg(null::bigint)
    into ids, ats, ts, cs, ws, ss, rs, hs from gone;
    if ids is null then return; end if;
    if -1 = any(rs) then
        select array_agg(distinct l.class_id) into opened from control.lane l
        where l.tenant_id = any(ts) and l.blocked and l.waiting > 0 and not l.paused;
    end if;
    perform control.lane_move(ts, cs, ws, ss, rs, hs);
    return query select x.t, x.i, x.a, case when x.n = 1 then opened end
    from unnest(ts, ids, ats) with ordinality x(t, i, a, n);
end $$;

-- The leases that the worker still has run on. What is missing in the answer is lost.
create function control.queue_renew(p_worker uuid, p_tenants uuid[], p_tasks uuid[], p_attempts integer[],
                                    p_lease interval)
returns table (r_tenant uuid, r_task uuid, r_attempt integer, r_cancel_requested boolean)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    return query
    with held as materialized (
        select t.tenant_id, t.task_id from control.ticket t
        join unnest(p_tenants, p_tasks, p_attempts) h(tenant_id, task_id, attempt)
            on t.tenant_id = h.tenant_id and t.task_id = h.task_id and t.attempt = h.attempt
        where t.worker_id = p_worker and t.state + 0 = 1
        order by t.tenant_id, t.task_id for update of t)
    update control.ticket t set lease_until = now() + p_lease
    from held where t.tenant_id = held.tenant_id and t.task_id = held.task_id
    returning t.tenant_id, t.task_id, t.attempt, t.cancel_requested;
end $$;

-- A leased ticket goes back into the queue and keeps its age. False when the attempt is stale. Call it last.
create function control.queue_put_back(p_tenant uuid, p_task uuid, p_attempt integer, p_pause interval) returns boolean
language plpgsql as $$
declare
    class_ integer;
    state_ smallint;
    rank_ bigint;
begin
    update control.ticket
    set state = case when p_pause > interval '0' then 2 else 0 end, worker_id = null, lease_until = null,
        run_at = clock_timestamp() + p_pause
    where tenant_id = p_tenant and task_id = p_task and attempt = p_attempt and state + 0 = 1
    returning class_id, state, rank into class_, state_, rank_;
    if class_ is null then return false; end if;
    perform control.lane_move(array[p_tenant], array[class_], array[(state_ = 0)::int], array[(state_ = 2)::int], array[-1],
                              array[case when state_ = 0 then rank_ end]);
    return true;
end $$;

-- These tickets, locked by the caller in the order that suits it, wait from now on; they were leased (1) or
-- scheduled (2), all alike. Answers how many.
create function control.tickets_wait(p_tenants uuid[], p_tasks uuid[], p_from integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    ts uuid[];
    cs integer[];
    hs bigint[];
    one integer[];
begin
    with back as (
        update control.ticket t set state = 0, worker_id = null, lease_until = null
        from unnest(p_tenants, p_tasks) x(tenant_id, task_id)
        where t.tenant_id = x.tenant_id and t.task_id = x.task_id
        returning t.tenant_id, t.class_id, t.rank)
    select array_agg(tenant_id), array_agg(class_id), array_agg(rank), array_agg(1) into ts, cs, hs, one from back;
    if ts is null then return 0; end if;
    perform control.lane_move(ts, cs, one, array(select -(p_from = 2)::int from unnest(one)),
                              array(select -(p_from = 1)::int from unnest(one)), hs);
    return cardinality(ts);
end $$;

-- Tickets whose lease ran out wait again; any process may ask at any time. Answers how many.
create function control.queue_expire(p_limit integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    ts uuid[];
    ids uuid[];
begin
    select array_agg(tenant_id), array_agg(task_id) into ts, ids
    from (select tenant_id, task_id from control.ticket where state = 1 and lease_until < clock_timestamp()
          order by lease_until limit p_limit for update skip locked) late;
    return control.tickets_wait(ts, ids, 1);
end $$;

-- Scheduled tickets whose time has come wait from now on; any process may ask. Answers how many.
create function control.queue_promote(p_limit integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    ts uuid[];
    ids uuid[];
begin
    select array_agg(tenant_id), array_agg(task_id) into ts, ids
    from (select tenant_id, task_id from control.ticket where state = 2 and run_at <= clock_timestamp()
          order by run_at limit p_limit for update skip locked) due;
    return control.tickets_wait(ts, ids, 2);
end $$;

-- What a crash, a race or an old snapshot may have left: lanes behind the clock, lanes held back by a limit that
-- has room again (a sliding hour goes on without a finish), lanes that missed a pause or its end. Waits for
-- nobody. Answers how many lanes it moved.
create function control.queue_tick() returns integer
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    n integer;
    total integer := 0;
begin
    update control.lane l set vt = k.clock
    from (select x.tenant_id, x.class_id, c.clock from control.lane_class c cross join lateral (
              select a.tenant_id, a.class_id from control.lane a
              where a.class_id = c.id and a.ready and a.vt < c.floor order by a.vt limit 1000 for update skip locked) x) k
    where l.tenant_id = k.tenant_id and l.class_id = k.class_id;
    get diagnostics n = row_count;
    total := total + n;
    -- some at a time, drawn anew each turn, so that a crowd at its limits keeps nobody out of sight for long
    with drawn as materialized (
        select tenant_id, class_id from control.lane where blocked and waiting > 0 order by random() limit 1000)
    update control.lane l set blocked = false,
        vt = greatest(l.vt, (select clock - 0.01 from control.lane_class where id = l.class_id))
    from (
        select a.tenant_id, a.class_id
        from drawn d join control.lane a on a.tenant_id = d.tenant_id and a.class_id = d.class_id
        left join control.share s on s.tenant_id = a.tenant_id
        left join lateral control.starts_used(
            a.tenant_id, s.starts_hour_max is not null or s.starts_day_max is not null) u on true
        where a.blocked and a.waiting > 0
          and (s.type_max ->> a.scan_type is null or (s.type_max ->> a.scan_type)::integer > (
                select sum(o.running) from control.lane o where o.tenant_id = a.tenant_id and o.scan_type = a.scan_type))
          and (s.running_max is null or s.running_max > (
                select sum(o.running) from control.lane o where o.tenant_id = a.tenant_id))
          and (s.starts_hour_max is null or s.starts_hour_max > coalesce(u.in_hour, 0))
          and (s.starts_day_max is null or s.starts_day_max > coalesce(u.in_day, 0))
        for update of a skip locked) k
    where l.tenant_id = k.tenant_id and l.class_id = k.class_id;
    get diagnostics n = row_count;
    total := total + n;
    update control.lane l set paused = not l.paused
    from (select a.tenant_id, a.class_id from control.lane a
          where a.tenant_id in (select p.tenant_id from control.pause p
                                union select o.tenant_id from control.lane o where o.paused)
            and a.paused <> exists (select from control.pause p where p.tenant_id = a.tenant_id
                                    and (p.scan_type is null or p.scan_type = a.scan_type))
          for update of a skip locked) k
    where l.tenant_id = k.tenant_id and l.class_id = k.class_id;
    get diagnostics n = row_count;
    return total + n;
end $$;

-- Holds back what waits, of a tenant (null: all, which is the operator's) and a scan type (null: all). A tenant's
-- pause and the operator's are two. False when there was this one already.
create function control.queue_pause(p_tenant uuid, p_scan_type text, p_reason text, p_by text,
                                    p_by_operator boolean default false) returns boolean
language plpgsql as $$
declare fresh boolean;
begin
    insert into control.pause (tenant_id, scan_type, reason, paused_by, by_operator)
    values (p_tenant, p_scan_type, p_reason, p_by, p_by_operator or p_tenant is null)
    on conflict do nothing;
    fresh := found;
    perform 1 from control.lane where tenant_id = p_tenant and (p_scan_type is null or scan_type = p_scan_type)
    order by class_id for update;
    update control.lane set paused = true
    where tenant_id = p_tenant and (p_scan_type is null or scan_type = p_scan_type) and not paused;
    return fresh;
end $$;

-- Takes such a pause back; another one may still hold. False when there was none.
create function control.queue_resume(p_tenant uuid, p_scan_type text, p_by_operator boolean default false)
returns boolean
language plpgsql as $$
declare gone boolean;
begin
    delete from control.pause
    where tenant_id is not distinct from p_tenant and scan_type is not distinct from p_scan_type
      and by_operator = (p_by_operator or p_tenant is null);
    gone := found;
    perform 1 from control.lane where tenant_id = p_tenant and (p_scan_type is null or scan_type = p_scan_type)
    order by class_id for update;
    update control.lane l set paused = false,
        vt = greatest(l.vt, (select clock - 0.01 from control.lane_class where id = l.class_id))
    where l.tenant_id = p_tenant and (p_scan_type is null or l.scan_type = p_scan_type) and l.paused
      and not exists (select from control.pause p
                      where p.tenant_id = p_tenant and (p.scan_type is null or p.scan_type = l.scan_type));
    return gone;
end $$;

-- The limits that claims obey from now on; what runs goes on. Whoever sets those of several tenants in one
-- transaction goes by their ids.
create function control.set_share(p_tenant uuid, p_weight real, p_running_max integer, p_type_max jsonb,
                                  p_starts_hour_max integer, p_starts_day_max integer) returns void
language plpgsql as $$
begin
    insert into control.share (tenant_id, weight, running_max, type_max, starts_hour_max, starts_day_max)
    values (p_tenant, p_weight, p_running_max, p_type_max, p_starts_hour_max, p_starts_day_max)
    on conflict (tenant_id) do update set weight = excluded.weight, running_max = excluded.running_max,
        type_max = excluded.type_max, starts_hour_max = excluded.starts_hour_max,
        starts_day_max = excluded.starts_day_max;
    perform control.lanes_open(array[p_tenant]);
end $$;

-- Lanes whose counters are not the counts of their tickets; with p_repair they are counted anew. Reads all tickets.
create function control.queue_drift(p_repair boolean)
returns table (r_tenant uuid, r_scan_type text, r_what text, r_counted bigint, r_actual bigint)
language plpgsql as $$
declare bad record;
begin
    create temporary table if not exists drifted
        (tenant_id uuid, class_id integer, scan_type text, what text, counted bigint, actual bigint) on commit drop;
    truncate drifted;
    insert into drifted
    with real as (
        select t.tenant_id, t.class_id, min(t.scan_type) as scan_type, count(*) filter (where t.state = 0) as waiting,
               count(*) filter (where t.state = 2) as scheduled, count(*) filter (where t.state = 1) as running,
               min(t.rank) filter (where t.state = 0) as head
        from control.ticket t group by 1, 2)
    select coalesce(l.tenant_id, r.tenant_id), coalesce(l.class_id, r.class_id), coalesce(l.scan_type, r.scan_type),
           w.what, w.counted, w.actual
    from control.lane l full join real r on r.tenant_id = l.tenant_id and r.class_id = l.class_id
    cross join lateral (values
        ('waiting', l.waiting::bigint, coalesce(r.waiting, 0)), ('scheduled', l.scheduled, coalesce(r.scheduled, 0)),
        ('running', l.running, coalesce(r.running, 0)), ('head', l.head_rank, least(l.head_rank, r.head))) w(what, counted, actual)
    where w.counted is distinct from w.actual;
    if p_repair then
        for bad in select distinct d.tenant_id, d.class_id, d.scan_type from drifted d order by 1, 2 loop
            insert into control.lane (tenant_id, class_id, scan_type) values (bad.tenant_id, bad.class_id, bad.scan_type)
            on conflict do nothing;
            perform 1 from control.lane where tenant_id = bad.tenant_id and class_id = bad.class_id for update;
            -- whoever has changed tickets and waits for this lane is not counted and moves the counters after us
            update control.lane l set waiting = r.waiting, scheduled = r.scheduled, running = r.running,
                head_rank = coalesce(r.head, l.head_rank), blocked = false,
                vt = greatest(l.vt, (select clock - 0.01 from control.lane_class where id = l.class_id))
            from (select count(*) filter (where t.state = 0)::int as waiting, count(*) filter (where t.state = 2)::int as scheduled,
                         count(*) filter (where t.state = 1)::int as running, min(t.rank) filter (where t.state = 0) as head
                  from control.ticket t where t.tenant_id = bad.tenant_id and t.class_id = bad.class_id) r
            where l.tenant_id = bad.tenant_id and l.class_id = bad.class_id;
        end loop;
    end if;
    return query select d.tenant_id, d.scan_type, d.what, d.counted, d.actual from drifted d order by 1, 2, 3;
end $$;
