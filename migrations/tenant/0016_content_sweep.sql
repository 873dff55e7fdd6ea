-- When contents of a project that nobody names any more were last looked for.
alter table tenant.project add column contents_swept_at timestamptz not null default now();
