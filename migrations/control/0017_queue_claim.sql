-- Who is next: the claim, and the clocks that it goes by. Words, invariants and lock order are those of 0005.

-- Moves the clocks of classes to the first lane in line among them; they keep how far they are ahead of each
-- other. A plain read: a lane that somebody claims from right now must stay in sight. One mover at a time,
-- and never waited for.
create function control.queue_clock(p_classes integer[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off
    set enable_mergejoin = off as $$
declare now_ double precision;
begin
    if not pg_try_advisory_xact_lock(hashtext('control.queue_clock')) then return; end if;
    select max(base) into now_ from control.lane_class;
    with placed as materialized (
        select c.id, greatest(c.base, now_ - greatest(f.vt - c.clock, 0)) as base, greatest(f.vt - c.clock, 0) as lead
        from control.lane_class c
        left join lateral (select k.vt from control.lane k where k.class_id = c.id and k.ready and k.vt >= c.floor
                           order by k.vt limit 1) f on true
        where c.id = any(p_classes)),
    -- of classes with a ready lane; the others come along
    goal as materialized (select coalesce(min(base + lead), now_) as at from placed)
    update control.lane_class c
    set floor = case when p.lead is null then c.floor else c.clock - 0.05 end,
        clock = case when p.lead is null then c.clock else c.clock + (goal.at - p.base) end,
        base = goal.at, clock_at = clock_timestamp()
    from placed p, goal where c.id = p.id;
end $$;

-- Leases these tickets, which the caller has locked.
create function control.tickets_lease(p_tenants uuid[], p_tasks uuid[], p_worker uuid, p_lease interval)
returns table (r_tenant uuid, r_task uuid, r_attempt integer, r_scan_type text, r_ready_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    return query
    update control.ticket t
    set state = 1, attempt = t.attempt + 1, worker_id = p_worker, lease_until = clock_timestamp() + p_lease
    from unnest(p_tenants, p_tasks) x(tenant_id, task_id)
    where t.tenant_id = x.tenant_id and t.task_id = x.task_id
    returning t.tenant_id, t.task_id, t.attempt, t.scan_type, greatest(t.run_at, t.enqueued_at);
end $$;

-- After a claim: these lanes, which the caller has locked, gave so many tickets and pay for them.
create function control.lanes_pay(p_tenants uuid[], p_classes integer[], p_taken integer[], p_heads bigint[],
                                  p_vts double precision[], p_blocked boolean[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    update control.lane l
    set waiting = l.waiting - x.taken, running = l.running + x.taken, head_rank = coalesce(x.head, l.head_rank),
        vt = x.vt, blocked = x.blocked
    from unnest(p_tenants, p_classes, p_taken, p_heads, p_vts, p_blocked) x(tenant_id, class_id, taken, head, vt, blocked)
    where l.tenant_id = x.tenant_id and l.class_id = x.class_id;
end $$;

-- Lanes of tenants that were served from other lanes pay as well, unless somebody else is at them.
create function control.lanes_pay_along(p_tenants uuid[], p_classes integer[], p_prices double precision[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    with free as materialized (
        select k.tenant_id, k.class_id, x.price from control.lane k
        join unnest(p_tenants, p_classes, p_prices) x(tenant_id, class_id, price)
            on k.tenant_id = x.tenant_id and k.class_id = x.class_id
        for update of k skip locked)
    update control.lane l set vt = l.vt + free.price
    from free where l.tenant_id = free.tenant_id and l.class_id = free.class_id;
end $$;

-- Leases up to p_slots tickets, fairly. A last row without a task says that there were lanes but no ticket: a
-- limit held them back, and they are marked so, or somebody else is at them. Ask again at once, patiently then.
create function control.queue_claim(p_worker uuid, p_types text[], p_tools text[], p_worlds text[],
                                    p_slots integer, p_lease interval, p_patiently boolean default false)
returns table (r_tenant uuid, r_task uuid, r_attempt integer, r_scan_type text, r_ready_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off
    set enable_mergejoin = off as $$
declare
    classes integer[];
    clocks double precision[];
    floors double precision[];
    bases double precision[];
    now_ double precision;
    clocked_at timestamptz;
    held_t uuid[];
    held_c integer[];
    tenants uuid[];
    one_t uuid;
    one_c integer;
    got_t uuid[];
    got_i uuid[];
    paid_t uuid[];
    paid_c integer[];
    paid_n integer[];
    paid_h bigint[];
    paid_v double precision[];
    paid_b boolean[];
    along_t uuid[];
    along_c integer[];
    along_p double precision[];
begin
    if p_slots < 1 then return; end if;
    select array_agg(c.id), array_agg(c.clock), array_agg(c.floor), array_agg(c.base), min(c.clock_at),
           (select max(base) from control.lane_class)
    into classes, clocks, floors, bases, clocked_at, now_ from control.lane_class c
    where (cardinality(p_types) = 0 or c.scan_type = any(p_types))
      and (c.tools = '{}' or c.tools && p_tools) and c.worlds <@ p_worlds
      and not exists (select from control.pause p
                      where p.tenant_id is null and (p.scan_type is null or p.scan_type = c.scan_type));
    if classes is null then return; end if;

    if p_patiently then
        -- Others claim from all lanes that are ready: wait for the first of them, named by its key, while nothing else
        -- is held. ("order by vt limit 1 for update" would keep the lock of a row that is no longer ready and wait
        -- for the next: deadlock.)
        select l.tenant_id, l.class_id into one_t, one_c
        from unnest(classes) c(id)
        cross join lateral (select k.tenant_id, k.class_id, k.vt from control.lane k where k.class_id = c.id and k.ready
                            order by k.vt, k.tenant_id limit 1) l
        limit 1;
        if one_t is null then return; end if;
        select array_agg(k.tenant_id), array_agg(k.class_id) into held_t, held_c
        from (select tenant_id, class_id from control.lane
              where tenant_id = one_t and class_id = one_c and waiting > 0 and not blocked and not paused for update) k;
    else
        -- Lanes that are first in line, by the time of all classes.
        select array_agg(q.tenant_id order by q.place, q.tenant_id, q.class_id),
               array_agg(q.class_id order by q.place, q.tenant_id, q.class_id)
        into held_t, held_c
        from (select l.tenant_id, l.class_id,
                     greatest(c.base, now_ - greatest(min(l.vt) over (partition by c.id) - c.clock, 0)) + l.vt - c.clock as place
              from unnest(classes, clocks, floors, bases) c(id, clock, floor, base)
              cross join lateral (
                  select k.tenant_id, k.class_id, k.vt from control.lane k
                  where k.class_id = c.id and k.ready and k.vt >= c.floor
                  order by k.vt, k.tenant_id limit p_slots for update skip locked) l) q;
    end if;
    if held_t is null then
        -- whether there is one at all: then it is waited for in a transaction of its own, because rows that are no
        -- longer ready stay locked although SKIP LOCKED does not answer them
        if exists (select from unnest(classes) c(id)
                   cross join lateral (select from control.lane k where k.class_id = c.id and k.ready limit 1) l) then
            return next;
        end if;
        return;
    end if;
    select array_agg(x.t) into tenants
    from (select h.t from unnest(held_t) with ordinality h(t, i) group by h.t order by min(h.i) limit p_slots) x;
    perform 1 from control.share s where s.tenant_id = any(tenants) order by s.tenant_id for update;
    -- The rest of these tenants' ready lanes, so that their best ticket is found whatever its class.
    if array_length(classes, 1) > 1 then
        select array_agg(k.tenant_id), array_agg(k.class_id) into held_t, held_c
        -- "ready" in other words: its index finds these lanes among those of everybody
        from (select tenant_id, class_id from control.lane
              where tenant_id = any(tenants) and class_id = any(classes) and waiting > 0 and not blocked and not paused
              for update skip locked) k;
    end if;

    -- Statements from here on have snapshots that see what was committed before the shares were locked.
    with lanes as materialized (
        select l.tenant_id, l.class_id, l.scan_type, l.running, l.head_rank, l.waiting, l.vt,
               (l.tenant_id, l.class_id) in (select * from unnest(held_t, held_c)) as held
        from control.lane l where l.tenant_id = any(tenants)),
    shares as materialized (
        select *, starts_hour_max is not null or starts_day_max is not null as counted
        from control.share where tenant_id = any(tenants)),
    room as materialized (
        select x.t as tenant_id, coalesce(s.weight, 1) as weight, s.type_max,
               least(s.running_max - (select sum(l.running) from lanes l where l.tenant_id = s.tenant_id),
                     s.starts_hour_max - coalesce(u.in_hour, 0), s.starts_day_max - coalesce(u.in_day, 0),
                     1000000)::integer as tenant_room,
               greatest(1, p_slots / array_length(tenants, 1)) as turn, s.counted, u.bucket as counted_at,
               coalesce(u.total, 0) as counted_before
        -- one without a share has no limits
        from unnest(tenants) x(t)
        left join shares s on s.tenant_id = x.t
        left join lateral control.starts_used(s.tenant_id, s.counted) u on true),
    mine as materialized (
        select l.tenant_id, l.class_id, l.scan_type, l.head_rank, l.vt, r.weight, r.tenant_room, r.turn,
               coalesce((r.type_max ->> l.scan_type)::integer
                            - (select sum(o.running) from lanes o
                               where o.tenant_id = l.tenant_id and o.scan_type = l.scan_type),
                        1000000)::integer as type_room
        from lanes l join room r on r.tenant_id = l.tenant_id where l.held),
    seen as materialized (
        select m.tenant_id, m.class_id, m.scan_type, m.type_room, m.tenant_room, m.turn, t.task_id, t.rank, t.attempt
        from mine m cross join lateral (
            select k.task_id, k.rank, k.attempt from control.ticket k
            where k.tenant_id = m.tenant_id and k.class_id = m.class_id and k.state = 0 and k.rank >= m.head_rank
            order by k.rank, k.task_id limit greatest(0, least(m.tenant_room, m.type_room, m.turn))
            for update skip locked) t),
    got as materialized (
        select o.tenant_id, o.class_id, o.scan_type, o.task_id, o.attempt, o.rank
        from (select s.*, row_number() over (partition by s.tenant_id order by s.rank, s.task_id) as of_tenant,
                     row_number() over (partition by s.tenant_id, s.scan_type order by s.rank, s.task_id) as of_type
              from seen s) o
        where o.of_tenant <= least(o.turn, o.tenant_room) and o.of_type <= o.type_room),
    per_lane as materialized (
        select g.tenant_id, g.class_id, count(*)::int as n, array_agg(g.task_id) as ids from got g group by 1, 2),
    per_tenant as materialized (
        select m.tenant_id, count(g.task_id)::int as n, count(*) filter (where g.attempt = 0)::int as starts,
               -- All lanes of a tenant pay the same, so that they stay side by side. The jitter spreads tenants
               -- along the clock. One whose tickets were out of reach steps back a little, too: others follow.
               greatest(count(g.task_id), 0.1) * (0.9 + 0.2 * random()) / m.weight as price
        from (select distinct tenant_id, weight from mine) m left join got g on g.tenant_id = m.tenant_id
        group by m.tenant_id, m.weight),
    paying as materialized (
        select m.tenant_id, m.class_id, coalesce(d.n, 0) as n,
               -- a plain read: a ticket that SKIP LOCKED passed over must stay in sight
               (select t.rank from control.ticket t
                where t.tenant_id = m.tenant_id and t.class_id = m.class_id and t.state = 0 and t.rank >= m.head_rank
                  and t.task_id <> all(coalesce(d.ids, '{}')) order by t.rank, t.task_id limit 1) as head,
               greatest(m.vt, (select c.clock from unnest(classes, clocks) c(id, clock) where c.id = m.class_id))
                   + p.price as vt,
               m.tenant_room - p.n <= 0
                   or m.type_room - (select count(*) from got g
                                     where g.tenant_id = m.tenant_id and g.scan_type = m.scan_type) <= 0 as blocked
        from mine m
        join per_tenant p on p.tenant_id = m.tenant_id
        left join per_lane d on d.tenant_id = m.tenant_id and d.class_id = m.class_id),
    -- lanes of theirs that this worker does not serve, or others hold; but not for tickets that came after theirs
    along as materialized (
        select l.tenant_id, l.class_id,
               p.price * (select avg((g.rank <= l.head_rank)::integer) from got g where g.tenant_id = l.tenant_id) as price
        from lanes l join per_tenant p on p.tenant_id = l.tenant_id
        where not l.held and l.waiting > 0 and p.n > 0),
    counted as (
        insert into control.start_count as b (tenant_id, bucket, starts, total)
        -- never before the last row, should the clock be set back
        select p.tenant_id, greatest(date_bin('5 minutes', clock_timestamp(), '2000-01-01'), r.counted_at), p.starts,
               r.counted_before + p.starts
        from per_tenant p join room r on r.tenant_id = p.tenant_id where r.counted and p.starts > 0
        on conflict (tenant_id, bucket) do update set starts = b.starts + excluded.starts,
            total = b.total + excluded.starts)
    select g.ts, g.ids, q.ts, q.cs, q.ns, q.heads, q.vts, q.blocked, a.ts, a.cs, a.prices
    into got_t, got_i, paid_t, paid_c, paid_n, paid_h, paid_v, paid_b, along_t, along_c, along_p
    from (select array_agg(tenant_id) as ts, array_agg(task_id) as ids from got) g,
         (select array_agg(tenant_id) as ts, array_agg(class_id) as cs, array_agg(n) as ns, array_agg(head) as heads,
                 array_agg(vt) as vts, array_agg(blocked) as blocked from paying) q,
         (select array_agg(tenant_id) as ts, array_agg(class_id) as cs, array_agg(price) as prices from along) a;
    perform control.lanes_pay(paid_t, paid_c, paid_n, paid_h, paid_v, paid_b);
    if along_t is not null then perform control.lanes_pay_along(along_t, along_c, along_p); end if;
    if got_t is null then
        return next;
    else
        return query select * from control.tickets_lease(got_t, got_i, p_worker, p_lease);
    end if;
    -- at most some ten times a second: each change is a dead row under an old snapshot
    if clocked_at < clock_timestamp() - interval '100 milliseconds' then
        perform control.queue_clock(classes);
    end if;
end $$;
