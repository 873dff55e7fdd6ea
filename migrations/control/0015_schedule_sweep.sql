-- When somebody last looked for schedules that are due, and since when without a long pause: a turn was missed
-- when nobody looked, not when whoever looked had much to do. One row.
create table control.schedule_sweep (
    id smallint primary key default 1 check (id = 1),
    swept_at timestamptz not null default now(),
    since timestamptz not null default now()
);
insert into control.schedule_sweep default values;

alter table control.schedule_sweep enable row level security;
alter table control.schedule_sweep force row level security;
create policy all_sweeps on control.schedule_sweep to tamiz_dispatch using (true) with check (true);
grant select, update on control.schedule_sweep to tamiz_dispatch;
