-- The conversations of a capture beside its protocols, shown with the task: how many, and the largest of
-- them, as the plugin lists them.
alter table tenant.pcap_session
    add column flow_count bigint not null default 0,
    add column flows jsonb not null default '[]';
