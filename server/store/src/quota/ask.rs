//! Asking for tasks and for tokens of language models: checked and counted in the caller's transaction.

use chrono::{DateTime, TimeDelta, Utc};
use tamiz_core::quota::{Counted, EffectiveQuota, QuotaLimit, QuotaRefusal, WINDOW_SECONDS, fits_sliding};

use super::{QuotaError, limits};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::usage;

const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);
/// A month of every tenant is the same length, whatever the calendar says.
const MONTH: TimeDelta = TimeDelta::days(30);

/// The tenant's meter, locked until the transaction ends: whoever else asks for tasks of this tenant waits.
/// To be locked before any task.
#[derive(Debug)]
pub struct Meter {
    /// By which the rows of the transaction are dated.
    now: DateTime<Utc>,
}

impl Meter {
    /// Locks it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lock(tx: &mut TenantTx) -> Result<Self, StoreError> {
        Ok(Self { now: lock(tx).await? })
    }

    /// The same at another time than the database's.
    #[cfg(test)]
    pub(crate) async fn lock_at(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<Self, StoreError> {
        lock(tx).await?;
        Ok(Self { now })
    }

    /// Asks for `tasks` more tasks of at most `priority`, and counts them: once for all of them and before
    /// their tickets are written, because what waits is looked at as it is.
    ///
    /// Asking for a task again (a retry, a redrive) counts like a new one. Nothing is counted when the
    /// transaction is not committed.
    ///
    /// # Errors
    /// [`QuotaError::Refused`] names the limit; give the transaction up then.
    pub async fn ask(&self, tx: &mut TenantTx, tasks: u32, priority: i16) -> Result<(), QuotaError> {
        let waiting = queued(tx).await?;
        self.count(tx, waiting, tasks, priority).await
    }

    /// The same for tasks whose tickets this transaction has written already: for those who know only then
    /// whether a task is new.
    ///
    /// # Errors
    /// As [`Meter::ask`].
    pub async fn ask_written(&self, tx: &mut TenantTx, tasks: u32, priority: i16) -> Result<(), QuotaError> {
        let waiting = queued(tx).await?.saturating_sub(u64::from(tasks));
        self.count(tx, waiting, tasks, priority).await
    }

    async fn count(
        &self,
        tx: &mut TenantTx,
        waiting: u64,
        tasks: u32,
        priority: i16,
    ) -> Result<(), QuotaError> {
        let now = self.now;
        let holds = limits::of_own_tenant(tx).await?;
        let asked = u64::from(tasks);
        at_most(
            &holds,
            QuotaLimit::PriorityMax,
            0,
            u64::try_from(priority).unwrap_or(0),
        )?;
        at_most(&holds, QuotaLimit::TasksQueued, waiting, asked)?;
        let counted = usage::tasks_since(tx, now - DAY).await?;
        let spans = [(QuotaLimit::TasksPerDay, DAY), (QuotaLimit::TasksPerHour, HOUR)];
        sliding(&holds, &counted, &spans, asked, now)?;
        Ok(usage::add_tasks(tx, now, tasks).await?)
    }
}

/// [`Meter::lock`] and [`Meter::ask`].
///
/// # Errors
/// [`QuotaError::Refused`] names the limit; give the transaction up then.
pub async fn ask_tasks(tx: &mut TenantTx, tasks: u32, priority: i16) -> Result<(), QuotaError> {
    Meter::lock(tx).await?.ask(tx, tasks, priority).await
}

/// Tickets of the tenant that wait or are put off.
async fn queued(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let queued = sqlx::query_scalar!(
        r#"select coalesce(sum(waiting + scheduled), 0)::bigint as "queued!" from control.lane
           where tenant_id = $1"#,
        tx.tenant()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(queued.cast_unsigned())
}

/// Asks for so many tokens of language models, and counts them.
///
/// # Errors
/// [`QuotaError::Refused`] names the limit; give the transaction up then.
pub async fn ask_tokens(tx: &mut TenantTx, tokens: u64) -> Result<(), QuotaError> {
    let now = lock(tx).await?;
    let holds = limits::of_own_tenant(tx).await?;
    let counted = usage::tokens_since(tx, now - MONTH).await?;
    let spans = [
        (QuotaLimit::TokensPerMonth, MONTH),
        (QuotaLimit::TokensPerDay, DAY),
    ];
    sliding(&holds, &counted, &spans, tokens, now)?;
    Ok(usage::add_tokens(tx, now, tokens).await?)
}

/// Locks the tenant's meter; answers the time of the transaction, by which its rows are dated.
async fn lock(tx: &mut TenantTx) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(
        r#"select now() as "now!" from control.meter where tenant_id = $1 for update"#,
        tx.tenant()
    )
    .fetch_optional(tx.connection())
    .await?;
    if let Some(now) = now {
        return Ok(now);
    }
    // a conflict waits for whoever is making it; updating the row locks it either way
    let now = sqlx::query_scalar!(
        r#"
        insert into control.meter as m (tenant_id) values ($1)
        on conflict (tenant_id) do update set tenant_id = m.tenant_id returning now() as "now!"
        "#,
        tx.tenant()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(now)
}

/// Refuses what is over a limit that has nothing to do with time.
fn at_most(holds: &EffectiveQuota, limit: QuotaLimit, used: u64, asked: u64) -> Result<(), QuotaRefusal> {
    match holds.value(limit) {
        Some(value) if used.saturating_add(asked) > value => Err(QuotaRefusal {
            name: limit.into(),
            value,
            used,
            asked,
            room_at: None,
        }),
        _ => Ok(()),
    }
}

/// Checks `spans`, longest first, against windows of the longest. Of two limits that are reached the one is
/// told that has room later.
fn sliding(
    holds: &EffectiveQuota,
    counted: &[Counted],
    spans: &[(QuotaLimit, TimeDelta)],
    asked: u64,
    now: DateTime<Utc>,
) -> Result<(), QuotaRefusal> {
    let window = TimeDelta::seconds(WINDOW_SECONDS);
    let mut refused: Option<QuotaRefusal> = None;
    for &(limit, span) in spans {
        let Some(value) = holds.value(limit) else { continue };
        let since = counted.partition_point(|one| one.window_start + window <= now - span);
        let Err((used, room_at)) = fits_sliding(&counted[since..], span, value, asked) else {
            continue;
        };
        let later = |other: &QuotaRefusal| match (room_at, other.room_at) {
            (None, _) => true,
            (Some(at), Some(other)) => at > other,
            (Some(_), None) => false,
        };
        if refused.as_ref().is_none_or(later) {
            refused = Some(QuotaRefusal {
                name: limit.into(),
                value,
                used,
                asked,
                room_at,
            });
        }
    }
    refused.map_or(Ok(()), Err)
}
