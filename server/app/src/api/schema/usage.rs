//! What the tenant has used, what it stores, and what it may.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Enum, Object, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};
use tamiz_core::quota::{EffectiveQuota, ReachedLimit};
use tamiz_core::{Refusal, RefusalCode};
use tamiz_store::quota::limits;
use tamiz_store::quota::storage::{self, Stored};
use tamiz_store::usage::{self, BUCKETS_MAX, Bucket, Used};
use tokio::sync::OnceCell;
use tokio::time::sleep;

use super::session::Session;
use super::words::BigInt;
use crate::api::errors::ApiError;
use crate::flow::in_the_calendar;

/// A watcher sees a change so late at most.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// How much time one window of usage holds; all begin in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Bucket")]
pub(crate) enum UsageBucket {
    /// As it is counted.
    FiveMinutes,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// What was used in a stretch of time.
#[derive(Debug, Clone, PartialEq, SimpleObject)]
pub(crate) struct UsageWindow {
    /// Its first moment.
    start: DateTime<Utc>,
    /// The first moment after it.
    end: DateTime<Utc>,
    /// Requests to the API.
    requests: BigInt,
    /// Tasks asked for, and asked for again.
    tasks: BigInt,
    /// Tokens of language models.
    tokens: BigInt,
    /// Bytes newly stored.
    storage_bytes: BigInt,
    /// Time that workers spent on attempts that ended.
    compute_seconds: f64,
}

/// A limit of your tenant.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct QuotaLimit {
    /// A stable word such as `tasks-running` or, of one scan type, `tasks-running.web`.
    name: String,
    /// How much is allowed.
    value: BigInt,
    /// Who says so: `tenant`, `plan` or `platform`.
    origin: String,
}

impl QuotaLimit {
    pub(super) fn all_of(limits: &EffectiveQuota) -> Vec<Self> {
        let limits = limits.all().map(|(name, value, origin)| Self {
            name: name.to_string(),
            value: value.into(),
            origin: origin.as_str().to_owned(),
        });
        limits.collect()
    }
}

/// A limit that is reached.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct QuotaRefusal {
    /// A stable word such as `tasks-per-hour`.
    name: String,
    /// What it is.
    value: BigInt,
    /// How much of it is used.
    used: BigInt,
    /// When there is room again; null where it takes the end of a task or somebody's deletion.
    room_at: Option<DateTime<Utc>>,
}

impl From<ReachedLimit> for QuotaRefusal {
    fn from(reached: ReachedLimit) -> Self {
        Self {
            name: reached.name,
            value: reached.value.into(),
            used: reached.used.into(),
            room_at: reached.room_at,
        }
    }
}

/// What your tenant has used, stores, and may use.
pub(crate) struct Usage {
    session: Arc<Session>,
    windows: Vec<UsageWindow>,
    /// Read once, whichever of its numbers are asked for.
    stored: OnceCell<Stored>,
}

impl Usage {
    /// Reads the windows; those without usage are there, too.
    pub(super) async fn between(
        session: &Arc<Session>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        bucket: Bucket,
    ) -> Result<Self, ApiError> {
        let windows = window_starts(from, to, bucket)?;
        let used = session
            .read(|tx| Box::pin(usage::between(tx, from, to, bucket)))
            .await?;
        let windows = windows.into_iter().map(|start| {
            let used = used.get(&start).copied().unwrap_or_default();
            window(start, bucket, used)
        });
        Ok(Self {
            session: Arc::clone(session),
            windows: windows.collect(),
            stored: OnceCell::new(),
        })
    }

    async fn stored(&self) -> Result<&Stored, ApiError> {
        let read = || self.session.read(|tx| Box::pin(storage::of_own_tenant(tx)));
        self.stored.get_or_try_init(read).await
    }
}

/// What your tenant has used, stores, and may use.
#[Object]
impl Usage {
    /// Oldest first.
    async fn windows(&self) -> &[UsageWindow] {
        &self.windows
    }

    /// Bytes of all uploads and artifacts now, equal ones once.
    async fn stored_bytes(&self) -> Result<BigInt, ApiError> {
        Ok(self.stored().await?.stored_bytes.into())
    }

    /// Bytes that are reserved for uploads and artifacts on their way.
    async fn reserved_bytes(&self) -> Result<BigInt, ApiError> {
        Ok(self.stored().await?.reserved_bytes.into())
    }

    /// The limits that hold, by name.
    async fn limits(&self) -> Result<Vec<QuotaLimit>, ApiError> {
        let limits = self
            .session
            .read(|tx| Box::pin(limits::of_own_tenant(tx)))
            .await?;
        Ok(QuotaLimit::all_of(&limits))
    }
}

/// Tells what the window that is open now holds, whenever that has changed.
pub(super) struct UsageWatch {
    session: Arc<Session>,
    bucket: Bucket,
    told: Option<Vec<UsageWindow>>,
}

impl UsageWatch {
    pub(super) fn new(session: &Arc<Session>, bucket: Bucket) -> Self {
        Self {
            session: Arc::clone(session),
            bucket,
            told: None,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Usage, ApiError> {
        loop {
            let now = Utc::now();
            let usage = Usage::between(&self.session, now, now, self.bucket).await?;
            if self.told.as_ref() != Some(&usage.windows) {
                self.told = Some(usage.windows.clone());
                return Ok(usage);
            }
            // no connection is held while the stream waits
            self.session.rest().await;
            sleep(WATCH_EVERY).await;
        }
    }
}

fn window(start: DateTime<Utc>, bucket: Bucket, used: Used) -> UsageWindow {
    UsageWindow {
        start,
        end: start + TimeDelta::seconds(bucket.seconds()),
        requests: BigInt(used.requests),
        tasks: BigInt(used.tasks),
        tokens: BigInt(used.tokens),
        storage_bytes: BigInt(used.storage_bytes),
        compute_seconds: used.compute_seconds,
    }
}

/// The beginnings of the windows from the one that holds `from` to the one that holds `to`.
fn window_starts(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    bucket: Bucket,
) -> Result<Vec<DateTime<Utc>>, Refusal> {
    for (name, at) in [("from", from), ("to", to)] {
        in_the_calendar(name, at).map_err(|refusal| refusal.at(&[name]))?;
    }
    let (first, last) = (bucket.start_of(from), bucket.start_of(to));
    if to < from {
        return Err(Refusal::new(RefusalCode::InvalidInput, "to: must not be before from").at(&["to"]));
    }
    let count = (last - first).num_seconds() / bucket.seconds() + 1;
    if count > BUCKETS_MAX {
        let message = format!("{count} windows are asked for, at most {BUCKETS_MAX} are answered at once");
        return Err(Refusal::new(RefusalCode::PageTooLarge, message).at(&["from"]));
    }
    let starts = (0..count).map(|number| first + TimeDelta::seconds(number * bucket.seconds()));
    Ok(starts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn windows_reach_from_the_first_to_the_last_moment_and_are_bounded() {
        let of = |from, to| window_starts(at(from), at(to), Bucket::Hour);
        let three = of("2026-11-22T10:30:00Z", "2026-11-22T12:00:00Z").unwrap();
        assert_eq!(
            three,
            ["10", "11", "12"].map(|hour| at(&format!("2026-11-22T{hour}:00:00Z")))
        );
        assert_eq!(
            of("2026-11-22T10:30:00Z", "2026-11-22T10:30:00Z").unwrap().len(),
            1
        );
        assert!(of("2026-11-22T10:30:00Z", "2026-11-22T10:00:00Z").is_err());
        let long = of("2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z").unwrap_err();
        assert_eq!(long.code, "PAGE_TOO_LARGE");
        // the window's end would be beyond all time
        assert!(of("+262142-12-31T00:00:00Z", "+262142-12-31T00:00:00Z").is_err());
        assert!(of("-200000-01-01T00:00:00Z", "+200000-01-01T00:00:00Z").is_err());
    }
}
