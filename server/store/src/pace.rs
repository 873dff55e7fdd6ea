//! How fast the queue goes: claims, ends, and how long tickets had waited.
//!
//! Counted in memory, added to `control.queue_pace` by [`Store::flush_pace`] every few seconds: a row per
//! claim would cost more than the claim. A process that is killed loses its last seconds of them; nothing
//! that matters is decided by these numbers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tamiz_core::TenantId;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;

/// Upper bounds of the waits that are told apart, in seconds; longer ones are in one more bucket.
pub const WAIT_SECONDS: [f64; 16] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0,
];
const BUCKETS: usize = WAIT_SECONDS.len() + 1;
/// Tenants and scan types that one flush writes; the rest stays for the next.
const FLUSHED_MAX: usize = 5_000;

/// What happened to the tickets of a tenant and scan type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    claimed: i64,
    ended: i64,
    waits: [i64; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            claimed: 0,
            ended: 0,
            waits: [0; BUCKETS],
        }
    }
}

/// What this process has seen and not yet written.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<(TenantId, String), Counts>>);

impl Pace {
    fn with(&self, tenant: TenantId, scan_type: &str, change: impl FnOnce(&mut Counts)) {
        // counts of a thread that panicked are still counts
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry((tenant, scan_type.to_owned())).or_default());
    }

    pub(crate) fn claimed(&self, tenant: TenantId, scan_type: &str, waited: Duration) {
        let seconds = waited.as_secs_f64();
        metrics::counter!("tamiz_queue_claims_total", "scan_type" => scan_type.to_owned()).increment(1);
        metrics::histogram!("tamiz_queue_claim_seconds", "scan_type" => scan_type.to_owned()).record(seconds);
        let bucket = WAIT_SECONDS.partition_point(|bound| *bound < seconds);
        self.with(tenant, scan_type, |counts| {
            counts.claimed += 1;
            counts.waits[bucket] += 1;
        });
    }

    pub(crate) fn ended(&self, tenant: TenantId, scan_type: &str) {
        metrics::counter!("tamiz_queue_ended_total", "scan_type" => scan_type.to_owned()).increment(1);
        self.with(tenant, scan_type, |counts| counts.ended += 1);
    }

    fn take(&self) -> Vec<((TenantId, String), Counts)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= FLUSHED_MAX {
            return all.drain().collect();
        }
        let keys: Vec<_> = all.keys().take(FLUSHED_MAX).cloned().collect();
        keys.into_iter()
            .filter_map(|key| all.remove(&key).map(|counts| (key, counts)))
            .collect()
    }

    fn give_back(&self, taken: Vec<((TenantId, String), Counts)>) {
        for ((tenant, scan_type), counts) in taken {
            self.with(tenant, &scan_type, |there| {
                there.claimed += counts.claimed;
                there.ended += counts.ended;
                for (there, waits) in there.waits.iter_mut().zip(counts.waits) {
                    *there += waits;
                }
            });
        }
    }
}

impl Store {
    /// Writes what this process counted since the last time; answers how many tenants and scan types.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it; then it is kept for the next time.
    pub async fn flush_pace(&self) -> Result<u64, StoreError> {
        let taken = self.pace.take();
        if taken.is_empty() {
            return Ok(0);
        }
        let tenants: Vec<Uuid> = taken.iter().map(|((tenant, _), _)| tenant.uuid()).collect();
        let types: Vec<String> = taken
            .iter()
            .map(|((_, scan_type), _)| scan_type.clone())
            .collect();
        let claimed: Vec<i64> = taken.iter().map(|(_, counts)| counts.claimed).collect();
        let ended: Vec<i64> = taken.iter().map(|(_, counts)| counts.ended).collect();
        let waits: Vec<i64> = taken.iter().flat_map(|(_, counts)| counts.waits).collect();
        let written = sqlx::query!(
            "select control.add_pace($1, $2, $3, $4, $5, $6)",
            &tenants,
            &types,
            &claimed,
            &ended,
            &waits,
            i32::try_from(BUCKETS).unwrap_or(i32::MAX)
        )
        .execute(&self.dispatch)
        .await;
        if let Err(error) = written {
            self.pace.give_back(taken);
            return Err(error.into());
        }
        Ok(taken.len() as u64)
    }

    /// Forgets what is older than is ever asked for; answers how many rows.
    ///
    /// Served by `queue_pace_minute_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn forget_pace(&self) -> Result<u64, StoreError> {
        let gone = sqlx::query!(
            "delete from control.queue_pace where (tenant_id, scan_type, minute) in (
                 select tenant_id, scan_type, minute from control.queue_pace
                 where minute < now() - interval '15 minutes' limit 5000 for update skip locked)"
        )
        .execute(&self.dispatch)
        .await?;
        Ok(gone.rows_affected())
    }
}

/// The wait that `share` of the claims in these buckets did not pass, in seconds, by a straight line within
/// its bucket. `None` without claims; what passed the last bound is told as that bound.
pub(crate) fn quantile_seconds(waits: &[i64], share: f64) -> Option<f64> {
    let all: i64 = waits.iter().sum();
    let wanted = share * all as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (count, upper) in waits.iter().zip(WAIT_SECONDS) {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            return Some(lower + (upper - lower) * ((wanted - below) / count).max(0.0));
        }
        below += count;
        lower = upper;
    }
    (all > 0).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(of: &[(usize, i64)]) -> [i64; BUCKETS] {
        let mut waits = [0; BUCKETS];
        for (bucket, count) in of {
            waits[*bucket] = *count;
        }
        waits
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_that_holds_it() {
        let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 1e-9;
        assert_eq!(quantile_seconds(&waits(&[]), 0.5), None);
        // ten claims between 2 and 5 milliseconds
        assert!(near(quantile_seconds(&waits(&[(2, 10)]), 0.5), 0.0035));
        let mixed = waits(&[(0, 98), (9, 1), (BUCKETS - 1, 1)]);
        assert!(quantile_seconds(&mixed, 0.5).unwrap() < 0.001);
        assert!(near(quantile_seconds(&mixed, 0.99), 1.0));
        assert!(near(quantile_seconds(&mixed, 1.0), 1800.0));
    }

    #[test]
    fn what_could_not_be_written_is_counted_with_the_next() {
        let (pace, tenant) = (Pace::default(), TenantId::fresh());
        pace.claimed(tenant, "web", Duration::from_micros(1_500));
        let taken = pace.take();
        pace.ended(tenant, "web");
        pace.give_back(taken);
        let again = pace.take();
        let counts = again[0].1;
        assert_eq!((again.len(), counts.claimed, counts.ended), (1, 1, 1));
        assert_eq!(counts.waits[1], 1);
    }
}
