-- Records of a report that say what an earlier record of it said: one row for each, so that every record
-- of a report can be counted and found. The first of them is the finding itself.
--
-- The primary key serves the queries there are: the occurrences of these findings, in their order, and how
-- many. Written and deleted with the findings.
create table tenant.finding_occurrence (
    tenant_id uuid not null,
    finding_id uuid not null,
    -- from 1, in the order of the report
    ordinal integer not null check (ordinal > 0),
    -- all places, tamiz_core::Location
    locations jsonb not null,
    -- bytes of the report that it was read from, where the converter says so
    report_offset bigint,
    report_length bigint,
    primary key (tenant_id, finding_id, ordinal),
    foreign key (tenant_id, finding_id) references tenant.finding (tenant_id, id)
);

alter table tenant.finding_occurrence enable row level security;
alter table tenant.finding_occurrence force row level security;
create policy own_rows on tenant.finding_occurrence to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);

-- a task sent back to the queue replaces what its earlier life left
grant select, insert, delete on tenant.finding_occurrence to tamiz_app;
