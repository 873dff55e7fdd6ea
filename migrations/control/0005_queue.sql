-- The fair queue. A claim (0017) picks tenants by virtual time divided by weight, then their best tickets.
--
--   lane_class   what a ticket asks of a worker: its scan type, one of some tools, all of some worlds
--   lane         one tenant's tickets of one class: how many wait and run, and the tenant's place in line
--   share        a tenant's weight and limits; its row lock makes the claims of one tenant take turns
--   pause        who is held back
--
-- Invariants, kept by the functions below, of 0014 and of 0017 in the transaction that changes a ticket:
-- 1. In every snapshot a lane's counters are the counts of its tickets, and no tenant has more leased
--    tickets than its share allows (control.queue_drift is empty).
-- 2. (tenant, task, attempt) is the fence: a stale attempt changes nothing.
-- 3. Lock order: task row, ticket, lanes by key, shares by key. Exceptions wait for nobody: a claim
--    locks lanes, shares and then waiting tickets, the first and the last by SKIP LOCKED; whoever holds a share
--    locks further lanes by SKIP LOCKED only.
-- 4. Claims look beyond the dead index entries that an old snapshot keeps: lane_class.floor for lanes,
--    lane.head_rank for tickets.
-- 5. Lanes of different classes are compared by the time of all: base + (vt - clock). A class that nobody served
--    for a while starts at what the others have reached (see queue_claim); it cannot save up, and one that few
--    tenants use gets no more than their part.
-- "state + 0 = 1" beside a key is deliberate: with "state = 1" the planner walks the partial index.
-- Plans are made once per connection, often while the tables are empty, when any plan looks as good as any other.
-- Functions that find rows by lists of keys therefore have enable_indexscan off: what is left to the planner is a
-- bitmap scan, which needs the key. Elsewhere keys are constants of the statement, or lateral with a limit.

create table control.lane_class (
    id integer generated always as identity primary key,
    scan_type text not null,
    -- sorted; a worker has at least one of them
    tools text[] not null,
    -- sorted; a worker runs all of them
    worlds text[] not null,
    -- where on the lanes' virtual time this class is: a lane that becomes ready joins here
    clock double precision not null default 0,
    clock_at timestamptz not null default now(),
    -- the clock before that: no lane below is ready, but for stragglers that queue_tick pulls up
    floor double precision not null default -1,
    -- what the clock stands for on the time of all classes
    base double precision not null default 0,
    constraint lane_class_key unique (scan_type, tools, worlds)
) with (fillfactor = 50);

create table control.share (
    tenant_id uuid primary key references control.tenant (id),
    weight real not null default 1 check (weight > 0),
    -- leased tickets at a time, all together and by scan type; null is no limit
    running_max integer check (running_max >= 0),
    type_max jsonb not null default '{}',
    -- first attempts begun per sliding hour and day
    starts_hour_max integer check (starts_hour_max >= 0),
    starts_day_max integer check (starts_day_max >= 0)
) with (fillfactor = 50);
-- tenants that are there already get theirs with the limits (0006)

create table control.lane (
    tenant_id uuid not null,
    class_id integer not null,
    scan_type text not null,
    waiting integer not null default 0 check (waiting >= 0),
    scheduled integer not null default 0 check (scheduled >= 0),
    running integer not null default 0 check (running >= 0),
    vt double precision not null default 0,
    -- no waiting ticket has a smaller rank
    head_rank bigint not null default 0,
    -- a limit is reached; a finish or the tick opens it again
    blocked boolean not null default false,
    paused boolean not null default false,
    -- stored, so that a finish stays a HOT update
    ready boolean generated always as (waiting > 0 and not blocked and not paused) stored,
    primary key (tenant_id, class_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
create index lane_ready_idx on control.lane (class_id, vt, tenant_id) where ready;
create index lane_blocked_idx on control.lane (tenant_id) where blocked;
create index lane_paused_idx on control.lane (tenant_id) where paused;

-- First attempts begun, for tenants that have a limit of them; 5 minutes each. The running total makes a sliding
-- sum two looks into the key, however many rows there are: the last total less what came before the first of them.
create table control.start_count (
    tenant_id uuid not null,
    bucket timestamptz not null,
    starts integer not null,
    -- of this row and all that the tenant had before it
    total bigint not null,
    primary key (tenant_id, bucket)
);
-- How many began in the sliding hour and day, if they are counted at all; also the newest row, which the next one
-- goes on from. An hour has 65 minutes and a day 1,445: of a row that began before, all may have come late.
-- (Without settings and not strict, so that it becomes part of the query that asks.)
create function control.starts_used(p_tenant uuid, p_counted boolean)
returns table (bucket timestamptz, total bigint, in_hour bigint, in_day bigint)
language sql stable rows 1 as $$
    select n.bucket, n.total,
           n.total - (select f.total - f.starts from control.start_count f
                      where f.tenant_id = p_tenant and f.bucket > now() - interval '65 minutes'
                      order by f.bucket limit 1),
           n.total - (select f.total - f.starts from control.start_count f
                      where f.tenant_id = p_tenant and f.bucket > now() - interval '1445 minutes'
                      order by f.bucket limit 1)
    from (select c.bucket, c.total from control.start_count c where p_counted and c.tenant_id = p_tenant
          order by c.bucket desc limit 1) n
$$;
-- old ones are forgotten
create index start_count_bucket_idx on control.start_count (bucket);

create table control.pause (
    -- null is everybody's
    tenant_id uuid references control.tenant (id),
    -- null is all of them
    scan_type text,
    reason text not null default '' check (char_length(reason) <= 500),
    paused_by text not null default '',
    paused_at timestamptz not null default now(),
    -- the operator's, which a tenant does not take back; both may hold the same tickets
    by_operator boolean not null default false check (by_operator or tenant_id is not null),
    constraint pause_key unique nulls not distinct (tenant_id, scan_type, by_operator)
);

-- Tickets get the class, the rank and a third state.
alter table control.ticket
    add column class_id integer,
    -- microseconds: when it became ready, less a minute per priority. Smaller is served first, and that is
    -- the ageing: a ticket is overtaken only by those that came at most its head start later.
    add column rank bigint,
    drop constraint ticket_state_check,
    -- 0 waiting, 1 leased, 2 scheduled: run_at is in the future
    add constraint ticket_state_check check (state in (0, 1, 2));
drop index control.ticket_waiting_idx;

create function control.ticket_rank(p_run_at timestamptz, p_priority smallint) returns bigint
language sql immutable as $$
    select (extract(epoch from p_run_at) * 1000000)::bigint - p_priority * 60000000::bigint
$$;

-- the owner is held by row-level security, too
alter table control.ticket no force row level security;
alter table control.ticket disable row level security;
insert into control.lane_class (scan_type, tools, worlds)
    select distinct scan_type, array(select unnest(tools) order by 1), '{}'::text[] from control.ticket;
update control.ticket t set class_id = c.id, rank = control.ticket_rank(greatest(t.enqueued_at, t.run_at), t.priority),
    state = case when t.state = 0 and t.run_at > now() then 2 else t.state end
    from control.lane_class c
    where c.scan_type = t.scan_type and c.tools = array(select unnest(t.tools) order by 1) and c.worlds = '{}';
insert into control.lane (tenant_id, class_id, scan_type, waiting, scheduled, running)
    select tenant_id, class_id, scan_type, count(*) filter (where state = 0), count(*) filter (where state = 2),
           count(*) filter (where state = 1)
    from control.ticket group by 1, 2, 3;
alter table control.ticket enable row level security;
alter table control.ticket force row level security;
alter table control.ticket
    alter column class_id set not null,
    alter column rank set not null,
    -- the class has them
    drop column tools;
create index ticket_waiting_idx on control.ticket (tenant_id, class_id, rank, task_id) where state = 0;
create index ticket_due_idx on control.ticket (run_at) where state = 2;

-- Opens what a limit of these tenants held back. A lane that somebody is at is opened by the tick.
create function control.lanes_open(p_tenants uuid[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    update control.lane l set blocked = false,
        vt = greatest(l.vt, (select clock - 0.01 from control.lane_class where id = l.class_id))
    from (select tenant_id, class_id from control.lane where tenant_id = any(p_tenants) and blocked
          for update skip locked) k
    where l.tenant_id = k.tenant_id and l.class_id = k.class_id;
end $$;

-- Moves counters. A head is the smallest rank that came to wait. Lanes are locked by key; of a tenant that
-- has more of them, those that a limit held back are opened under its share.
create function control.lane_move(p_tenants uuid[], p_classes integer[], p_waiting integer[], p_scheduled integer[],
                                  p_running integer[], p_heads bigint[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
    set enable_hashjoin = off set enable_mergejoin = off as $$
declare crowded uuid[];
begin
    with d as materialized (
        select t, c, sum(w)::int as w, sum(s)::int as s, sum(r)::int as r, min(h) as h
        from unnest(p_tenants, p_classes, p_waiting, p_scheduled, p_running, p_heads) x(t, c, w, s, r, h)
        group by t, c),
    k as materialized (
        select l.tenant_id, l.class_id from control.lane l join d on l.tenant_id = d.t and l.class_id = d.c
        order by 1, 2 for update of l)
    update control.lane l
    set waiting = l.waiting + d.w, scheduled = l.scheduled + d.s, running = l.running + d.r,
        head_rank = case when d.h is null then l.head_rank
                         when l.waiting = 0 or d.h < l.head_rank then d.h else l.head_rank end,
        vt = case when (l.blocked and d.r < 0) or (l.waiting = 0 and d.w > 0)
                  then greatest(l.vt, (select clock - 0.01 from control.lane_class where id = d.c))
                  else l.vt end,
        blocked = l.blocked and d.r >= 0
    from d join k on k.tenant_id = d.t and k.class_id = d.c
    where l.tenant_id = d.t and l.class_id = d.c;
    select array_agg(distinct l.tenant_id) into crowded
    from unnest(p_tenants, p_classes, p_running) x(t, c, r)
    join control.lane l on l.tenant_id = x.t and l.class_id <> x.c
    where x.r < 0 and (l.waiting > 0 or l.blocked);
    if crowded is not null then
        perform 1 from control.share where tenant_id = any(crowded) order by tenant_id for update;
        perform control.lanes_open(crowded);
    end if;
end $$;

-- The class of such tickets; a new one is made. Tools and worlds come sorted.
create function control.class_of(p_scan_type text, p_tools text[], p_worlds text[]) returns integer
language plpgsql as $$
declare found_id integer;
begin
    for i in 1..2 loop
        select id into found_id from control.lane_class
        where scan_type = p_scan_type and tools = p_tools and worlds = p_worlds;
        if found_id is not null then return found_id; end if;
        insert into control.lane_class (scan_type, tools, worlds) values (p_scan_type, p_tools, p_worlds)
        on conflict do nothing returning id into found_id;
        if found_id is not null then return found_id; end if;
    end loop;
    raise exception 'the lane class of % is gone', p_scan_type;
end $$;

-- Tickets of one tenant and class; those that are there already change nothing. Answers how many were new.
-- Call it last: it holds the lane until the transaction ends.
create function control.queue_enqueue(p_tenant uuid, p_class integer, p_tasks uuid[], p_priorities smallint[],
                                      p_attempts integer[], p_run_at timestamptz[]) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    now_ timestamptz := clock_timestamp();
    type_ text;
    n_waiting integer;
    n_scheduled integer;
    head bigint;
begin
    select scan_type into strict type_ from control.lane_class where id = p_class;
    with added as (
        insert into control.ticket (tenant_id, task_id, class_id, scan_type, priority, rank, state, attempt, run_at,
                                    enqueued_at)
        select p_tenant, x.task, p_class, type_, x.priority,
               control.ticket_rank(greatest(coalesce(x.run_at, now_), now_), x.priority),
               case when x.run_at > now_ then 2 else 0 end, x.attempt, greatest(coalesce(x.run_at, now_), now_), now_
        from unnest(p_tasks, p_priorities, p_attempts, p_run_at) x(task, priority, attempt, run_at)
        on conflict (tenant_id, task_id) do nothing
        returning state, rank)
    select count(*) filter (where state = 0), count(*) filter (where state = 2), min(rank) filter (where state = 0)
    into n_waiting, n_scheduled, head from added;
    if n_waiting + n_scheduled = 0 then return 0; end if;
    if not exists (select from control.lane where tenant_id = p_tenant and class_id = p_class) then
        insert into control.lane (tenant_id, class_id, scan_type, vt, paused)
        select p_tenant, p_class, type_, c.clock - 0.01,
               exists (select from control.pause p
                       where p.tenant_id = p_tenant and (p.scan_type is null or p.scan_type = type_))
        from control.lane_class c where c.id = p_class
        on conflict (tenant_id, class_id) do nothing;
    end if;
    perform control.lane_move(array[p_tenant], array[p_class], array[n_waiting], array[n_scheduled], array[0],
                              array[head]);
    return n_waiting + n_scheduled;
end $$;

alter table control.lane_class enable row level security;
alter table control.lane_class force row level security;
alter table control.share enable row level security;
alter table control.share force row level security;
alter table control.lane enable row level security;
alter table control.lane force row level security;
alter table control.start_count enable row level security;
alter table control.start_count force row level security;
alter table control.pause enable row level security;
alter table control.pause force row level security;

-- classes are the platform's: words of scan types, tools and worlds, no tenant's data
create policy classes_seen on control.lane_class for select to tamiz_app using (true);
create policy classes_made on control.lane_class for insert to tamiz_app with check (true);
create policy own_lanes on control.lane to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy own_share on control.share to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
-- everybody's pauses are seen, for a task says why it waits
create policy pauses_seen on control.pause for select to tamiz_app
    using (tenant_id is null or tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy own_pauses_made on control.pause for insert to tamiz_app
    with check (not by_operator and tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy own_pauses_taken_back on control.pause for delete to tamiz_app
    using (not by_operator and tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
create policy all_classes on control.lane_class to tamiz_dispatch using (true) with check (true);
create policy all_lanes on control.lane to tamiz_dispatch using (true) with check (true);
create policy all_shares on control.share to tamiz_dispatch using (true) with check (true);
create policy all_starts on control.start_count to tamiz_dispatch using (true) with check (true);
create policy all_pauses on control.pause for select to tamiz_dispatch using (true);
create policy operator on control.lane_class for select to tamiz_control using (true);
create policy operator on control.lane to tamiz_control using (true) with check (true);
create policy operator on control.share to tamiz_control using (true) with check (true);
create policy operator on control.pause to tamiz_control using (true) with check (true);

grant select, insert on control.lane_class to tamiz_app;
grant select, insert, update on control.lane to tamiz_app;
-- its key cannot become another's: the right is needed for the row lock only
grant select, update (tenant_id) on control.share to tamiz_app;
grant select, insert, delete on control.pause to tamiz_app;
-- inserting serves schedules, which are asked for by no request
grant insert, delete on control.ticket to tamiz_dispatch;
grant select, insert, update on control.lane_class, control.lane to tamiz_dispatch;
grant select, update (tenant_id) on control.share to tamiz_dispatch;
grant select, insert, update, delete on control.start_count to tamiz_dispatch;
grant select on control.pause to tamiz_dispatch;
grant select on control.lane_class to tamiz_control;
grant select, update on control.lane to tamiz_control;
grant select, insert, update on control.share to tamiz_control;
grant select, insert, delete on control.pause to tamiz_control;
