//! Counting again from the rows: a counter that does not agree is a bug of ours, or a damaged database.

use chrono::{DateTime, Utc};
use tamiz_core::TenantId;

use super::Source;
use crate::connect::Store;
use crate::error::StoreError;
use crate::quota::Meter;
use crate::scope::TenantScope;

/// A counter that is not what the rows say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Whose.
    pub tenant: TenantId,
    /// Which: `tasks`, `stored-bytes`, `reserved-bytes`.
    pub what: &'static str,
    /// Of which window, where it has one.
    pub window_start: Option<DateTime<Utc>>,
    /// What was counted.
    pub counted: i64,
    /// What the rows say.
    pub actual: i64,
}

/// Compares the tenant's counters with its rows, and with `repair` sets them right. What is asked for, stored
/// or reserved meanwhile waits.
///
/// Tasks are compared in the windows of the last day, which is what limits look at: each time a task was
/// queued is an event of it. Older tasks may have been deleted.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn recount(store: &Store, tenant: TenantId, repair: bool) -> Result<Vec<Drift>, StoreError> {
    let mut tx = store.begin(&TenantScope::of(tenant)).await?;
    // asks first, then storage: the order of all
    Meter::lock(&mut tx).await?;
    let mut drifts = tasks(&mut tx, tenant, repair).await?;
    drifts.extend(storage(&mut tx, tenant, repair).await?);
    tx.commit().await?;
    Ok(drifts)
}

async fn tasks(tx: &mut crate::TenantTx, tenant: TenantId, repair: bool) -> Result<Vec<Drift>, StoreError> {
    let rows = sqlx::query!(
        r#"
        with real as (
            select control.usage_window(created_at) as w, count(*) as n from tenant.task_event
            where tenant_id = $1 and status = 'queued' and created_at >= now() - interval '1 day' group by 1),
        told as (
            select window_start as w, tasks_count as n from control.quota_usage
            where tenant_id = $1 and source = $2 and window_start >= now() - interval '1 day')
        select coalesce(real.w, told.w) as "window!", coalesce(told.n, 0) as "counted!",
               coalesce(real.n, 0) as "actual!"
        from real full join told on told.w = real.w
        where coalesce(told.n, 0) <> coalesce(real.n, 0)
            -- the first window is only partly within the day
            and coalesce(real.w, told.w) >= now() - interval '1 day'
        order by 1
        "#,
        tx.tenant(),
        Source::Asks as i16
    )
    .fetch_all(tx.connection())
    .await?;
    for row in rows.iter().filter(|_| repair) {
        sqlx::query!(
            r#"
            insert into control.quota_usage (tenant_id, window_start, window_end, source, tasks_count)
            values ($1, $2::timestamptz, $2::timestamptz + interval '5 minutes', $3, $4)
            on conflict (tenant_id, window_start, source) do update set tasks_count = excluded.tasks_count
            "#,
            tx.tenant(),
            row.window,
            Source::Asks as i16,
            row.actual
        )
        .execute(tx.connection())
        .await?;
    }
    let drifts = rows.into_iter().map(|row| Drift {
        tenant,
        what: "tasks",
        window_start: Some(row.window),
        counted: row.counted,
        actual: row.actual,
    });
    Ok(drifts.collect())
}

async fn storage(tx: &mut crate::TenantTx, tenant: TenantId, repair: bool) -> Result<Vec<Drift>, StoreError> {
    // whoever writes a blob or a reservation moves this row in the same transaction
    let told = sqlx::query!(
        "select stored_bytes, reserved_bytes from control.storage where tenant_id = $1 for update",
        tx.tenant()
    )
    .fetch_optional(tx.connection())
    .await?;
    let told = told.map_or((0, 0), |row| (row.stored_bytes, row.reserved_bytes));
    let real = sqlx::query!(
        r#"
        select (select coalesce(sum(size_bytes), 0)::bigint from tenant.blob where tenant_id = $1) as "stored!",
               (select coalesce(sum(bytes), 0)::bigint from control.storage_reservation
                where tenant_id = $1) as "reserved!"
        "#,
        tx.tenant()
    )
    .fetch_one(tx.connection())
    .await?;
    if repair && told != (real.stored, real.reserved) {
        sqlx::query!(
            r#"
            insert into control.storage (tenant_id, stored_bytes, reserved_bytes) values ($1, $2, $3)
            on conflict (tenant_id) do update set
                stored_bytes = excluded.stored_bytes, reserved_bytes = excluded.reserved_bytes
            "#,
            tx.tenant(),
            real.stored,
            real.reserved
        )
        .execute(tx.connection())
        .await?;
    }
    let compared = [
        ("stored-bytes", told.0, real.stored),
        ("reserved-bytes", told.1, real.reserved),
    ];
    let drifts = compared
        .into_iter()
        .filter(|(_, counted, actual)| counted != actual);
    Ok(drifts
        .map(|(what, counted, actual)| Drift {
            tenant,
            what,
            window_start: None,
            counted,
            actual,
        })
        .collect())
}
