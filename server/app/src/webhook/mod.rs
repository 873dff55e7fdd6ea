//! Sends webhooks: every process that has the database takes deliveries that are due and calls their endpoints.
//!
//! A delivery is taken for a while, sent without a transaction, and noted: whoever dies in between has sent it perhaps,
//! and another process sends it again, with the same id. Of one tenant only so many are sent at once, so that one whose
//! receivers are slow holds up no other.
//!
//! Not here: what there is to tell (`tamiz_store::webhook`), and endpoints (see `flow`).

mod address;
mod send;
mod signature;

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use tamiz_core::TenantId;
use tamiz_core::webhook::DeliveryState;
use tamiz_store::webhook::delivery;
use tamiz_store::webhook::due::{DueDelivery, Room};
use tamiz_store::{Store, StoreError};
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use address::{Address, judged};
pub(crate) use signature::Secret;

use crate::config::TargetSettings;
use crate::platform::Platform;

/// Sends of one process: each waits for somebody else most of the time.
const SENDS_MAX: usize = 32;
/// And of one tenant in it.
const SENDS_OF_ONE_TENANT_MAX: usize = 4;
/// Nobody else sends what was taken for so long: longer than a name, a call and two transactions may take.
const HOLD: Duration = Duration::from_mins(1);
/// What is due is sent at most so much late; looking costs an index entry per tenant that waits for something.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a process that ends waits for what it is sending; the rest is sent again by another.
const DRAIN: Duration = Duration::from_secs(3);

/// Sends what is due until `shutdown`.
pub async fn run(platform: Platform, shutdown: CancellationToken) {
    let mut sends = Sends {
        store: platform.store.clone(),
        targets: platform.config.webhook.clone(),
        running: JoinSet::new(),
        tenants: HashMap::new(),
        has_more: false,
    };
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = sends.ended(), if !sends.running.is_empty() => {
                // room again for what waits
                if !sends.has_more { continue }
            }
            () = sleep(LOOK_EVERY.mul_f64(0.5 + rand::random::<f64>())) => {}
        }
        if let Err(error) = sends.begin().await {
            metrics::counter!("tamiz_upkeep_failures_total", "sweep" => "webhooks").increment(1);
            let reason = &error as &dyn Error;
            tracing::warn!(error = reason, "webhooks that are due could not be taken");
            sends.has_more = false;
        }
    }
    let draining = async { while sends.running.join_next().await.is_some() {} };
    if timeout(DRAIN, draining).await.is_err() {
        tracing::info!("webhooks that are on their way are sent again by another process");
    }
}

/// What this process is sending.
struct Sends {
    store: Store,
    targets: TargetSettings,
    running: JoinSet<()>,
    tenants: HashMap<Id, TenantId>,
    /// Somebody may wait for room here.
    has_more: bool,
}

impl Sends {
    /// Waits for one to end.
    async fn ended(&mut self) {
        let ended = self.running.join_next_with_id().await;
        let id = match ended {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "sending a webhook ended badly");
                error.id()
            }
            None => return,
        };
        self.tenants.remove(&id);
    }

    /// Takes as many as there is room for.
    async fn begin(&mut self) -> Result<(), StoreError> {
        let whole = SENDS_MAX.saturating_sub(self.running.len());
        if whole == 0 {
            return Ok(());
        }
        let mut running: HashMap<TenantId, usize> = HashMap::new();
        for tenant in self.tenants.values() {
            *running.entry(*tenant).or_default() += 1;
        }
        let room = Room {
            whole,
            of_one_tenant: SENDS_OF_ONE_TENANT_MAX,
            running: &running,
        };
        let due = self.store.due_webhooks(&room, HOLD).await?;
        self.has_more = !due.is_empty();
        for one in due {
            let (store, targets) = (self.store.clone(), self.targets.clone());
            let handle = self.running.spawn(async move {
                if let Err(error) = deliver(&store, &targets, one).await {
                    let reason = &error as &dyn Error;
                    tracing::warn!(message = %one.message, error = reason, "a webhook is sent again later");
                }
            });
            self.tenants.insert(handle.id(), one.scope.tenant_id());
        }
        Ok(())
    }
}

/// One try, noted.
async fn deliver(store: &Store, targets: &TargetSettings, due: DueDelivery) -> Result<(), StoreError> {
    let DueDelivery {
        scope,
        endpoint,
        message,
    } = due;
    let mut tx = store.begin(&scope).await?;
    let parcel = delivery::open(&mut tx, endpoint, message).await?;
    tx.commit().await?;
    let Some(parcel) = parcel else {
        return Ok(());
    };
    let sent = send::send(&parcel, message, targets).await;
    let mut tx = store.begin(&scope).await?;
    let state = delivery::note(&mut tx, endpoint, message, &sent).await?;
    tx.commit().await?;
    let outcome = match state {
        DeliveryState::Delivered => "delivered",
        DeliveryState::Waiting => "retried",
        DeliveryState::Failed => "failed",
    };
    metrics::counter!("tamiz_webhook_sends_total", "outcome" => outcome).increment(1);
    tracing::debug!(%message, %endpoint, outcome, status = sent.status_code, "a webhook was sent");
    Ok(())
}
