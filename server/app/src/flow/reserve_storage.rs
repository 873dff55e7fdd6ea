//! Room for bytes before they are taken: of an upload while it comes, of an attempt before it puts an artifact.
//!
//! The flow that writes the rows settles the reservation in the same transaction. One that is not settled
//! expires; an upload that is given up gives its own back at once.

use std::time::{Duration, Instant};

use tamiz_core::{Refusal, RefusalCode};
use tamiz_store::credential::LeaseRight;
use tamiz_store::quota::QuotaError;
use tamiz_store::quota::storage::{self, ReservationId, UPLOAD_SECONDS};
use tamiz_store::{Store, TenantScope, TenantTx};

use super::FlowError;
use super::note_refusal::noted;

/// What an upload that does not announce its length reserves first, and then as much again as it has: few
/// transactions for a large one, little held for a small one.
const STEP_BYTES_MIN: u64 = 1 << 20;
/// The largest step: so much at most is held in vain.
const STEP_BYTES_MAX: u64 = 32 << 20;
/// A reservation that is older is renewed with the next bytes.
const RENEW_AFTER: Duration = Duration::from_secs(UPLOAD_SECONDS as u64 / 3);

/// Room for an upload that is on its way. Dropped without [`UploadRoom::settle`], it is given back.
#[derive(Debug)]
pub struct UploadRoom {
    store: Store,
    scope: TenantScope,
    id: ReservationId,
    bytes: u64,
    renewed: Instant,
    settled: bool,
}

impl UploadRoom {
    /// Reserves `bytes`: the announced length, or none yet.
    ///
    /// # Errors
    /// Refused when they do not fit.
    pub async fn reserve(store: &Store, scope: &TenantScope, bytes: u64) -> Result<Self, FlowError> {
        let mut tx = store.begin(scope).await?;
        let id = storage::reserve(&mut tx, bytes).await?;
        tx.commit().await?;
        Ok(Self {
            store: store.clone(),
            scope: *scope,
            id,
            bytes,
            renewed: Instant::now(),
            settled: false,
        })
    }

    /// Makes sure that there is room for `total` bytes; costs nothing while there is.
    ///
    /// # Errors
    /// Refused when they do not fit.
    pub async fn cover(&mut self, total: u64) -> Result<(), FlowError> {
        let missing = total.saturating_sub(self.bytes);
        if missing == 0 && self.renewed.elapsed() < RENEW_AFTER {
            return Ok(());
        }
        let step = match missing {
            0 => 0,
            _ => missing.max(self.bytes.clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)),
        };
        match self.extend(step).await {
            // near the limit every byte counts
            Err(FlowError::Refused(_)) if step > missing => self.extend(missing).await,
            done => done,
        }
    }

    async fn extend(&mut self, more: u64) -> Result<(), FlowError> {
        let mut tx = self.store.begin(&self.scope).await?;
        if storage::extend(&mut tx, self.id, more).await? {
            self.bytes += more;
        } else {
            // it expired: this process was stopped for a while
            self.id = storage::reserve(&mut tx, self.bytes + more).await?;
            self.bytes += more;
        }
        tx.commit().await?;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Ends the reservation in the transaction that writes the rows; `new_bytes` were not stored before. Say
    /// [`UploadRoom::is_settled`] once it is committed.
    ///
    /// # Errors
    /// Refused when it expired meanwhile and the bytes do not fit any more.
    pub async fn settle(&self, tx: &mut TenantTx, new_bytes: u64) -> Result<(), QuotaError> {
        storage::settle(tx, self.id, new_bytes).await
    }

    /// Nothing is to be given back.
    pub fn is_settled(mut self) {
        self.settled = true;
    }
}

impl Drop for UploadRoom {
    fn drop(&mut self) {
        // Outside a runtime the process is ending, and the reservation expires.
        if self.settled {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (store, scope, id) = (self.store.clone(), self.scope, self.id);
        runtime.spawn(async move {
            let released = async {
                let mut tx = store.begin(&scope).await?;
                storage::release(&mut tx, id).await?;
                tx.commit().await
            };
            if let Err(error) = released.await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a reservation could not be given back and expires"
                );
            }
        });
    }
}

/// Reserves room for an artifact of an attempt, before its bytes are put; `finish_attempt` settles it.
///
/// # Errors
/// Refused when it does not fit, and noted; refused when the attempt no longer may.
pub async fn for_attempt(store: &Store, right: &LeaseRight, bytes: u64) -> Result<(), FlowError> {
    let reserved = async {
        let mut tx = store.begin(&right.scope).await?;
        if !storage::reserve_for_attempt(&mut tx, right.task, right.attempt, bytes).await? {
            let message = "the attempt is over, or another one has the task";
            return Err(Refusal::new(RefusalCode::AttemptLost, message).into());
        }
        Ok(tx.commit().await?)
    };
    let outcome = reserved.await;
    noted(store, &right.scope, None, outcome).await
}

/// Gives back what [`for_attempt`] reserved for bytes that were not put after all. Where that fails it goes
/// with the attempt's end, or expires.
pub async fn given_back(store: &Store, right: &LeaseRight, bytes: u64) {
    let released = async {
        let mut tx = store.begin(&right.scope).await?;
        storage::release_of_attempt(&mut tx, right.task, right.attempt, bytes).await?;
        tx.commit().await
    };
    if let Err(error) = released.await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "what an artifact reserved could not be given back"
        );
    }
}
