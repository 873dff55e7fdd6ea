//! What tenants have used, in windows of five minutes.
//!
//! A window is up to four rows, one per writer, so that asks, ends of attempts, requests and storage never wait
//! for each other. Writes are one upsert each; reads add the rows up.
//!
//! Not here: refusing (see [`crate::quota`]).

mod recount;

pub use recount::{Drift, recount};

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnection;
use tamiz_core::quota::{Counted, WINDOW_SECONDS};
use tamiz_core::{TaskId, TenantId};
use uuid::Uuid;

use crate::connect::Store;
use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// How long windows are kept: a year to compare with, and a month's rest.
pub const KEPT_DAYS: i32 = 400;
/// Old windows deleted in one step of the sweep.
const DELETED_AT_ONCE: i64 = 5_000;
/// Rows of one answer: 3 days of five minutes, a month of hours, years of days.
pub const BUCKETS_MAX: i64 = 1_000;

/// Who writes a row.
#[derive(Debug, Clone, Copy)]
enum Source {
    Asks = 0,
    Ends = 1,
    Requests = 2,
    Storage = 3,
}

/// How much time one row of an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// As it is counted.
    FiveMinutes,
    /// An hour.
    Hour,
    /// A day, in UTC.
    Day,
}

impl Bucket {
    /// Its length.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::FiveMinutes => WINDOW_SECONDS,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        }
    }

    /// The beginning of the bucket that `moment` lies in.
    pub fn start_of(self, moment: DateTime<Utc>) -> DateTime<Utc> {
        let into = moment.timestamp().rem_euclid(self.seconds());
        let whole = moment.timestamp() - into;
        DateTime::from_timestamp(whole, 0).unwrap_or(moment)
    }
}

/// What was used in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Used {
    /// Requests to the API.
    pub requests: i64,
    /// Tasks asked for, and asked for again.
    pub tasks: i64,
    /// Tokens of language models.
    pub tokens: i64,
    /// Bytes newly stored.
    pub storage_bytes: i64,
    /// Time that workers spent on attempts that ended.
    pub compute_seconds: f64,
}

impl Used {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            tasks: self.tasks + other.tasks,
            tokens: self.tokens + other.tokens,
            storage_bytes: self.storage_bytes + other.storage_bytes,
            compute_seconds: self.compute_seconds + other.compute_seconds,
        }
    }
}

/// The tenant's usage from the bucket that holds `from` to the one that holds `to`, oldest first; buckets
/// without any are left out. The caller keeps it to [`BUCKETS_MAX`] buckets.
///
/// Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn between(
    tx: &mut TenantTx,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    bucket: Bucket,
) -> Result<BTreeMap<DateTime<Utc>, Used>, StoreError> {
    let tenant = tx.tenant();
    read(tx.connection(), tenant, from, to, bucket).await
}

/// The same for any tenant, asked by the operator.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tenant(
    tx: &mut ControlTx,
    tenant: TenantId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    bucket: Bucket,
) -> Result<BTreeMap<DateTime<Utc>, Used>, StoreError> {
    read(tx.connection(), tenant.uuid(), from, to, bucket).await
}

async fn read(
    connection: &mut PgConnection,
    tenant: Uuid,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    bucket: Bucket,
) -> Result<BTreeMap<DateTime<Utc>, Used>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select to_timestamp(floor(extract(epoch from window_start) / $4::bigint) * $4::bigint) as "start!",
               sum(requests_count)::bigint as "requests!", sum(tasks_count)::bigint as "tasks!",
               sum(tokens_used)::bigint as "tokens!", sum(storage_bytes)::bigint as "storage_bytes!",
               sum(compute_seconds) as "compute_seconds!"
        from control.quota_usage
        where tenant_id = $1 and window_start >= $2 and window_start <= $3
        group by 1 order by 1 limit $5
        "#,
        tenant,
        bucket.start_of(from),
        to,
        bucket.seconds(),
        BUCKETS_MAX
    )
    .fetch_all(connection)
    .await?;
    let used = rows.into_iter().map(|row| {
        let used = Used {
            requests: row.requests,
            tasks: row.tasks,
            tokens: row.tokens,
            storage_bytes: row.storage_bytes,
            compute_seconds: row.compute_seconds,
        };
        (row.start, used)
    });
    Ok(used.collect())
}

/// Adds the time that the attempt has taken so far, as the database's clock says. To be called once, by the
/// transaction that ends it, whose fence is open.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn add_compute(tx: &mut TenantTx, task: TaskId, attempt: i32) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        insert into control.quota_usage as u (tenant_id, window_start, window_end, source, compute_seconds)
        select a.tenant_id, w, w + interval '5 minutes', $4,
               greatest(0, extract(epoch from now() - a.started_at)::double precision)
        from tenant.task_attempt a, control.usage_window(now()) w
        where a.tenant_id = $1 and a.task_id = $2 and a.attempt = $3
        on conflict (tenant_id, window_start, source)
        do update set compute_seconds = u.compute_seconds + excluded.compute_seconds
        "#,
        tx.tenant(),
        task.uuid(),
        attempt,
        Source::Ends as i16
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Adds the time of attempts that cannot write their own end.
pub(crate) async fn add_compute_seconds(tx: &mut TenantTx, seconds: f64) -> Result<(), StoreError> {
    if seconds <= 0.0 {
        return Ok(());
    }
    let used = Used {
        compute_seconds: seconds,
        ..Used::default()
    };
    add(tx, None, Source::Ends, used).await
}

/// Adds requests that were counted elsewhere: of which tenant, in which moment's window, how many. One
/// statement, whatever their number; the rows are taken in the order of their keys.
///
/// # Errors
/// [`StoreError`] when the database does not take them; none is added then.
pub async fn add_requests(
    store: &Store,
    counted: &[(TenantId, DateTime<Utc>, u64)],
) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(Uuid, DateTime<Utc>), i64> = BTreeMap::new();
    for &(tenant, moment, requests) in counted {
        let key = (tenant.uuid(), Bucket::FiveMinutes.start_of(moment));
        *sums.entry(key).or_default() += requests.cast_signed();
    }
    let tenants: Vec<Uuid> = sums.keys().map(|(tenant, _)| *tenant).collect();
    let windows: Vec<DateTime<Utc>> = sums.keys().map(|(_, window)| *window).collect();
    let requests: Vec<i64> = sums.into_values().collect();
    sqlx::query!(
        r#"
        insert into control.quota_usage as u (tenant_id, window_start, window_end, source, requests_count)
        select tenant, w, w + interval '5 minutes', $4, n
        from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) x(tenant, w, n)
        on conflict (tenant_id, window_start, source)
        do update set requests_count = u.requests_count + excluded.requests_count
        "#,
        &tenants,
        &windows,
        &requests,
        Source::Requests as i16
    )
    .execute(&store.dispatch)
    .await?;
    Ok(())
}

/// Deletes windows that are older than [`KEPT_DAYS`], a bounded number of rows; answers how many.
///
/// Served by `quota_usage_window_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn delete_old(store: &Store) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        r#"
        delete from control.quota_usage u using (
            select tenant_id, window_start, source from control.quota_usage
            where window_start < now() - make_interval(days => $1) order by window_start limit $2) old
        where u.tenant_id = old.tenant_id and u.window_start = old.window_start and u.source = old.source
        "#,
        KEPT_DAYS,
        DELETED_AT_ONCE
    )
    .execute(&store.dispatch)
    .await?;
    Ok(deleted.rows_affected())
}

struct WindowRow {
    window_start: DateTime<Utc>,
    count: i64,
}

impl From<WindowRow> for Counted {
    fn from(row: WindowRow) -> Self {
        Self {
            window_start: row.window_start,
            count: row.count.cast_unsigned(),
        }
    }
}

/// Tasks asked for in the windows that end after `since`, oldest first.
pub(crate) async fn tasks_since(tx: &mut TenantTx, since: DateTime<Utc>) -> Result<Vec<Counted>, StoreError> {
    let rows = sqlx::query_as!(
        WindowRow,
        r#"
        select window_start, tasks_count as count from control.quota_usage
        where tenant_id = $1 and window_start > $2 and source = $3 and tasks_count > 0 order by window_start
        "#,
        tx.tenant(),
        since - TimeDelta::seconds(WINDOW_SECONDS),
        Source::Asks as i16
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(Counted::from).collect())
}

/// Tokens used in the windows that end after `since`, oldest first.
pub(crate) async fn tokens_since(
    tx: &mut TenantTx,
    since: DateTime<Utc>,
) -> Result<Vec<Counted>, StoreError> {
    let rows = sqlx::query_as!(
        WindowRow,
        r#"
        select window_start, tokens_used as count from control.quota_usage
        where tenant_id = $1 and window_start > $2 and source = $3 and tokens_used > 0 order by window_start
        "#,
        tx.tenant(),
        since - TimeDelta::seconds(WINDOW_SECONDS),
        Source::Asks as i16
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(Counted::from).collect())
}

/// Counts tasks; the tenant's meter is locked.
pub(crate) async fn add_tasks(tx: &mut TenantTx, now: DateTime<Utc>, tasks: u32) -> Result<(), StoreError> {
    let used = Used {
        tasks: tasks.into(),
        ..Used::default()
    };
    add(tx, Some(now), Source::Asks, used).await
}

/// Counts tokens; the tenant's meter is locked.
pub(crate) async fn add_tokens(tx: &mut TenantTx, now: DateTime<Utc>, tokens: u64) -> Result<(), StoreError> {
    let used = Used {
        tokens: tokens.cast_signed(),
        ..Used::default()
    };
    add(tx, Some(now), Source::Asks, used).await
}

/// Counts bytes that were not stored before.
pub(crate) async fn add_stored(tx: &mut TenantTx, bytes: u64) -> Result<(), StoreError> {
    let used = Used {
        storage_bytes: bytes.cast_signed(),
        ..Used::default()
    };
    add(tx, None, Source::Storage, used).await
}

/// Adds what was used to the window of `moment`; without one, to that of the transaction.
async fn add(
    tx: &mut TenantTx,
    moment: Option<DateTime<Utc>>,
    source: Source,
    used: Used,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        insert into control.quota_usage as u (tenant_id, window_start, window_end, source, requests_count, tasks_count,
            tokens_used, storage_bytes, compute_seconds)
        select $1, w, w + interval '5 minutes', $3, $4, $5, $6, $7, $8
        from control.usage_window(coalesce($2, now())) w
        on conflict (tenant_id, window_start, source) do update set
            requests_count = u.requests_count + excluded.requests_count,
            tasks_count = u.tasks_count + excluded.tasks_count, tokens_used = u.tokens_used + excluded.tokens_used,
            storage_bytes = u.storage_bytes + excluded.storage_bytes,
            compute_seconds = u.compute_seconds + excluded.compute_seconds
        "#,
        tx.tenant(),
        moment,
        source as i16,
        used.requests,
        used.tasks,
        used.tokens,
        used.storage_bytes,
        used.compute_seconds
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_lies_in_the_bucket_that_begins_before_it() {
        let moment = DateTime::from_timestamp(1_800_000_123, 999).unwrap();
        for (bucket, seconds) in [
            (Bucket::FiveMinutes, 1_800_000_000),
            (Bucket::Hour, 1_800_000_000),
            (Bucket::Day, 1_799_971_200),
        ] {
            let start = bucket.start_of(moment);
            assert_eq!(start.timestamp(), seconds, "{bucket:?}");
            assert_eq!(bucket.start_of(start), start);
        }
    }
}
