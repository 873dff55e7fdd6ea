-- What is known of advisories from elsewhere: EPSS and KEV, as their public files say it. Facts about advisories are the
-- platform's: every tenant may read them, and which advisories a tenant has is in its own rows alone.

create table control.enrichment_file (
    id uuid primary key,
    kind text not null check (kind in ('epss', 'kev')),
    -- the model of scores, the version of a catalogue
    model text check (octet_length(model) between 1 and 64),
    -- the day that the file speaks of
    date date not null,
    rows bigint not null check (rows >= 0),
    -- of the decompressed bytes
    sha256 bytea not null check (octet_length(sha256) = 32),
    imported_at timestamptz not null default now(),
    -- also serves the files before and after a day
    constraint enrichment_file_day_key unique (kind, date)
);

-- A score counts from its day until that of the next row: days on which nothing changed have none.
create table control.epss_score (
    -- the key also serves the newest score of a CVE up to a day
    cve text not null,
    date date not null,
    score real not null check (score between 0 and 1),
    percentile real not null check (percentile between 0 and 1),
    primary key (cve, date)
);

create table control.kev_entry (
    cve text primary key,
    added_on date not null,
    due_on date,
    vendor text not null,
    product text not null,
    name text not null,
    description text not null,
    action text not null,
    has_ransomware_use boolean not null,
    notes text not null,
    cwe integer[] not null,
    -- of the first imported catalogue that has it
    first_listed_on date not null,
    -- of the first imported one after it that has it no more
    withdrawn_on date check (withdrawn_on > first_listed_on)
);

alter table control.enrichment_file enable row level security;
alter table control.enrichment_file force row level security;
alter table control.epss_score enable row level security;
alter table control.epss_score force row level security;
alter table control.kev_entry enable row level security;
alter table control.kev_entry force row level security;

create policy public_facts on control.enrichment_file for select to tamiz_app using (true);
create policy public_facts on control.epss_score for select to tamiz_app using (true);
create policy public_facts on control.kev_entry for select to tamiz_app using (true);
create policy operator on control.enrichment_file to tamiz_control using (true) with check (true);
create policy operator on control.epss_score to tamiz_control using (true) with check (true);
create policy operator on control.kev_entry to tamiz_control using (true) with check (true);

grant select on control.enrichment_file, control.epss_score, control.kev_entry to tamiz_app;
grant select, insert, update, delete on control.enrichment_file, control.epss_score, control.kev_entry to tamiz_control;
