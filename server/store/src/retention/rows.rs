//! The rows of one tenant: tasks, what hangs from them, uploads, and which blobs that leaves to nobody.

use uuid::Uuid;

use super::ROWS_AT_ONCE;
use crate::connect::Store;
use crate::error::StoreError;
use crate::quota::storage;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Tasks of one transaction: each has a few hundred small rows besides its findings.
const TASKS_AT_ONCE: i64 = 20;
/// Findings of one transaction, with their occurrences.
const FINDINGS_AT_ONCE: i64 = 5_000;
/// Findings that go in a month which comes within so long are left to it; those of a month that is further away,
/// because the tenant kept them for longer before, are deleted row by row.
const MONTH_COMES_DAYS: i32 = 62;
/// Uploads of one transaction.
const UPLOADS_AT_ONCE: i64 = 100;
/// Groups of one transaction; one is a single small row.
const GROUPS_AT_ONCE: i64 = 1_000;

/// Deletes what ended more than `days` ago, up to [`ROWS_AT_ONCE`] rows; answers how many went.
pub(super) async fn delete(store: &Store, scope: &TenantScope, days: i32) -> Result<u64, StoreError> {
    let mut deleted = 0;
    while deleted < ROWS_AT_ONCE {
        let mut tx = store.begin(scope).await?;
        let tasks = ended(&mut tx, days).await?;
        let gone = if tasks.is_empty() {
            match uploads(&mut tx, days).await? {
                0 => groups(&mut tx, days).await?,
                some => some,
            }
        } else {
            match findings(&mut tx, &tasks).await? {
                0 => whole(&mut tx, &tasks).await?,
                some => some,
            }
        };
        tx.commit().await?;
        if gone == 0 {
            break;
        }
        deleted += gone;
    }
    Ok(deleted)
}

/// Ended tasks, locked: a retry that is faster keeps its task. One whose findings go with their month soon waits for it.
async fn ended(tx: &mut TenantTx, days: i32) -> Result<Vec<Uuid>, StoreError> {
    let tasks = sqlx::query_scalar!(
        r#"
        select id from tenant.task t
        where tenant_id = $1 and finished_at is not null and finished_at < now() - make_interval(days => $2)
          and not exists (select from tenant.scan_result r where r.tenant_id = $1 and r.task_id = t.id
                          and r.findings_expire_on > current_date and r.findings_expire_on < current_date + $4::int)
        order by finished_at limit $3 for update skip locked
        "#,
        tx.tenant(),
        days,
        TASKS_AT_ONCE,
        MONTH_COMES_DAYS
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tasks)
}

/// The totals go first, because they speak of findings.
async fn findings(tx: &mut TenantTx, tasks: &[Uuid]) -> Result<u64, StoreError> {
    sqlx::query!(
        "delete from tenant.scan_result where tenant_id = $1 and task_id = any($2)",
        tx.tenant(),
        tasks
    )
    .execute(tx.connection())
    .await?;
    let some = sqlx::query_scalar!(
        "select id from tenant.finding where tenant_id = $1 and task_id = any($2) limit $3",
        tx.tenant(),
        tasks,
        FINDINGS_AT_ONCE
    )
    .fetch_all(tx.connection())
    .await?;
    if some.is_empty() {
        return Ok(0);
    }
    sqlx::query!(
        "delete from tenant.finding_occurrence where tenant_id = $1 and finding_id = any($2)",
        tx.tenant(),
        &some
    )
    .execute(tx.connection())
    .await?;
    let gone = sqlx::query!(
        "delete from tenant.finding where tenant_id = $1 and id = any($2)",
        tx.tenant(),
        &some
    )
    .execute(tx.connection())
    .await?;
    Ok(gone.rows_affected())
}

/// The tasks themselves, once they have no findings.
async fn whole(tx: &mut TenantTx, tasks: &[Uuid]) -> Result<u64, StoreError> {
    let tenant = tx.tenant();
    sqlx::query!(
        "delete from tenant.pcap_session where tenant_id = $1 and task_id = any($2)",
        tenant,
        tasks
    )
    .execute(tx.connection())
    .await?;
    let paths = sqlx::query_scalar!(
        "delete from tenant.artifact where tenant_id = $1 and task_id = any($2) returning storage_path",
        tenant,
        tasks
    )
    .fetch_all(tx.connection())
    .await?;
    forget_blobs(tx, &paths).await?;
    sqlx::query!(
        r#"
        with executions as (delete from tenant.tool_execution where tenant_id = $1 and task_id = any($2)),
             attempts as (delete from tenant.task_attempt where tenant_id = $1 and task_id = any($2)),
             events as (delete from tenant.task_event where tenant_id = $1 and task_id = any($2)),
             log as (delete from tenant.worker_log where tenant_id = $1 and task_id = any($2)),
             web as (delete from tenant.webscan_target where tenant_id = $1 and task_id = any($2)),
             ssl as (delete from tenant.ssl_target where tenant_id = $1 and task_id = any($2)),
             osint as (delete from tenant.osint_target where tenant_id = $1 and task_id = any($2))
        update tenant.codeaudit_upload set task_id = null where tenant_id = $1 and task_id = any($2)
        "#,
        tenant,
        tasks
    )
    .execute(tx.connection())
    .await?;
    let gone = sqlx::query!(
        "delete from tenant.task where tenant_id = $1 and id = any($2)",
        tenant,
        tasks
    )
    .execute(tx.connection())
    .await?;
    Ok(gone.rows_affected())
}

/// Uploads that are old enough and that no task and no schedule wants.
async fn uploads(tx: &mut TenantTx, days: i32) -> Result<u64, StoreError> {
    let paths = sqlx::query_scalar!(
        r#"
        delete from tenant.codeaudit_upload d where d.tenant_id = $1 and d.id in (
            select u.id from tenant.codeaudit_upload u
            where u.tenant_id = $1 and u.task_id is null and u.created_at < now() - make_interval(days => $2)
              and not exists (select from tenant.task t where t.tenant_id = $1
                              and t.payload #>> '{source,upload_id}' = u.id::text)
              and not exists (select from tenant.task t where t.tenant_id = $1
                              and t.payload ->> 'rules_upload_id' = u.id::text)
              and not exists (select from control.schedule s where s.tenant_id = $1
                              and position(u.id::text in s.task_order::text) > 0)
            order by u.created_at limit $3 for update skip locked)
        returning d.storage_path
        "#,
        tx.tenant(),
        days,
        UPLOADS_AT_ONCE
    )
    .fetch_all(tx.connection())
    .await?;
    forget_blobs(tx, &paths).await?;
    Ok(paths.len() as u64)
}

/// Finished groups whose tasks have all gone. They take no more tasks, so none comes meanwhile. Served by the key of
/// groups and `task_of_group_idx`.
async fn groups(tx: &mut TenantTx, days: i32) -> Result<u64, StoreError> {
    let gone = sqlx::query!(
        r#"
        delete from tenant.task_group d where d.tenant_id = $1 and d.id in (
            select g.id from tenant.task_group g
            where g.tenant_id = $1 and g.finished_at < now() - make_interval(days => $2)
              and not exists (select from tenant.task t where t.tenant_id = $1 and t.group_id = g.id)
            order by g.id limit $3 for update skip locked)
        "#,
        tx.tenant(),
        days,
        GROUPS_AT_ONCE
    )
    .execute(tx.connection())
    .await?;
    Ok(gone.rows_affected())
}

/// Blobs that nothing refers to any more become trash, and their bytes are free.
async fn forget_blobs(tx: &mut TenantTx, paths: &[String]) -> Result<(), StoreError> {
    let freed = sqlx::query_scalar!(
        r#"
        with gone as (
            delete from tenant.blob b where b.tenant_id = $1 and b.storage_path = any($2)
                and not exists (select from tenant.artifact a
                                where a.tenant_id = $1 and a.storage_path = b.storage_path)
                and not exists (select from tenant.codeaudit_upload u
                                where u.tenant_id = $1 and u.storage_path = b.storage_path)
                and not exists (select from tenant.scan_result r
                                where r.tenant_id = $1 and r.storage_path = b.storage_path)
            returning storage_path, size_bytes),
        noted as (
            insert into control.blob_trash (tenant_id, storage_path) select $1, storage_path from gone
            on conflict (tenant_id, storage_path)
            do update set created_at = now(), deleting_at = null, deleted_at = null)
        select coalesce(sum(size_bytes), 0)::bigint as "bytes!" from gone
        "#,
        tx.tenant(),
        paths
    )
    .fetch_one(tx.connection())
    .await?;
    if freed > 0 {
        storage::freed(tx, freed.cast_unsigned()).await?;
    }
    Ok(())
}
