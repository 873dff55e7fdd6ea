-- What somebody did or was refused, told to whoever asks later. Only added to: the application may neither
-- change nor delete a row.
create table tenant.audit_log (
    tenant_id uuid not null,
    id uuid not null,
    -- the token that asked; null for the platform's own doing
    user_id uuid,
    -- such as quota.refused
    action text not null check (octet_length(action) between 1 and 100),
    resource_type text not null check (octet_length(resource_type) between 1 and 100),
    resource_id text,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    primary key (tenant_id, id)
);
-- a tenant's, newest first
create index audit_log_created_idx on tenant.audit_log (tenant_id, created_at);

alter table tenant.audit_log enable row level security;
alter table tenant.audit_log force row level security;
create policy own_rows on tenant.audit_log to tamiz_app
    using (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tamiz.tenant_id', true), '')::uuid);
grant select, insert on tenant.audit_log to tamiz_app;

-- Retention deletes whole tasks with what hangs from them.
grant delete on tenant.task, tenant.task_attempt, tenant.task_event, tenant.tool_execution, tenant.artifact,
    tenant.codeaudit_upload, tenant.blob, tenant.webscan_target, tenant.ssl_target, tenant.osint_target to tamiz_app;
-- retention: a tenant's ended tasks, the longest ended first
create index task_finished_idx on tenant.task (tenant_id, finished_at) where finished_at is not null;
-- retention: whether a blob is still referred to
create index codeaudit_upload_blob_idx on tenant.codeaudit_upload (tenant_id, storage_path);
create index artifact_blob_idx on tenant.artifact (tenant_id, storage_path);
-- retention: uploads that no task is bound to
create index codeaudit_upload_unbound_idx on tenant.codeaudit_upload (tenant_id, created_at) where task_id is null;
-- retention: whether a task still wants an upload
create index task_upload_idx on tenant.task (tenant_id, (payload #>> '{source,upload_id}'))
    where payload #>> '{source,upload_id}' is not null;
create index task_rules_idx on tenant.task (tenant_id, (payload ->> 'rules_upload_id'))
    where payload ->> 'rules_upload_id' is not null;
