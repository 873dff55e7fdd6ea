-- What a finding's CVSS vector comes to, shown beside it; null without a vector that can be read. No check:
-- it would read the whole table under a lock, and tamiz_core::cvss answers 0.0 to 10.0 alone.
alter table tenant.finding add column cvss_score numeric(3, 1);
