//! Requests of tenants, counted in memory and written down once a second: a write per request would cost
//! more than the request.
//!
//! A server that is killed loses the second's count, which is for usage alone; limits are not kept by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tamiz_core::TenantId;
use tamiz_core::quota::{QuotaLimit, ReachedLimit};
use tamiz_core::rate::RequestRate;
use tamiz_store::{Store, StoreError, TenantScope, usage};
use tokio_util::sync::CancellationToken;

/// Between two writes: what a kill may lose, and how late a dashboard is.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);
/// A database that takes longer is asked again with the next count.
const FLUSH_MAX: Duration = Duration::from_secs(10);

/// What one tenant asked since it was last written down.
#[derive(Debug, Clone, Copy)]
struct Asked {
    scope: TenantScope,
    passed: u64,
    refused: u64,
    rate: RequestRate,
}

/// Counts on their way to the database; what is left of them when it is dropped is counted again.
struct Taken<'a> {
    back: &'a Usage,
    asked: Vec<Asked>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for asked in self.asked.iter().filter(|asked| asked.passed + asked.refused > 0) {
            self.back.add(asked);
        }
    }
}

/// Counts, and writes them down. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    of: Arc<Mutex<HashMap<TenantId, Asked>>>,
}

impl Usage {
    /// Writes down what is counted, every second until `shutdown` and once more then.
    pub async fn run(self, store: Store, shutdown: CancellationToken) {
        loop {
            let ends = shutdown
                .run_until_cancelled(tokio::time::sleep(FLUSH_PAUSE))
                .await
                .is_none();
            let flushed = tokio::time::timeout(FLUSH_MAX, self.flush(&store)).await;
            match flushed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "requests of tenants are not written down yet");
                }
                Err(_) => tracing::warn!("requests of tenants were not written down in time"),
            }
            if ends {
                return;
            }
        }
    }

    /// Writes down what is counted; what cannot be written stays counted, and so does what is not written when
    /// this is dropped. A write whose answer was lost may be counted twice.
    ///
    /// # Errors
    /// The last [`StoreError`], when the database does not take some of it.
    pub async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        let mut taken = Taken {
            back: self,
            asked: std::mem::take(&mut *self.counts()).into_values().collect(),
        };
        let now = Utc::now();
        let passed: Vec<_> = taken
            .asked
            .iter()
            .filter(|asked| asked.passed > 0)
            .map(|asked| (asked.scope.tenant_id(), now, asked.passed))
            .collect();
        if !passed.is_empty() {
            usage::add_requests(store, &passed).await?;
        }
        for asked in &mut taken.asked {
            asked.passed = 0;
        }
        let mut outcome = Ok(());
        for asked in taken.asked.iter_mut().filter(|asked| asked.refused > 0) {
            // once a second, whatever their number: the log of audits is not a counter
            let value = asked.rate.requests_per_minute().into();
            let reached = ReachedLimit {
                name: QuotaLimit::RequestsPerMinute.to_string(),
                value,
                used: value,
                room_at: None,
            };
            match store.note_refusal(&asked.scope, None, &reached).await {
                Ok(()) => asked.refused = 0,
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    pub(super) fn count(&self, scope: &TenantScope, rate: RequestRate, passed: bool) {
        self.add(&Asked {
            scope: *scope,
            passed: passed.into(),
            refused: (!passed).into(),
            rate,
        });
    }

    fn add(&self, asked: &Asked) {
        let mut counts = self.counts();
        let count = counts.entry(asked.scope.tenant_id()).or_insert(Asked {
            passed: 0,
            refused: 0,
            ..*asked
        });
        count.passed += asked.passed;
        count.refused += asked.refused;
        count.rate = asked.rate;
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<TenantId, Asked>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
