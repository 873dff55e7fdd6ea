//! What an attempt needs while it runs: its beginning, its events, the rows that its task names.
//!
//! Each but the wait for a cancel is one short transaction of the task's tenant, for whoever holds the right to the
//! attempt: a worker with the database asks here itself, for one without the API does.
//!
//! Not here: its end (`finish_attempt`), and bytes.

use tamiz_core::plugin::LimitSet;
use tamiz_core::{PinnedTarget, PluginId, TaskId, UploadId};
use tamiz_store::attempt::{self, Begin};
use tamiz_store::credential::LeaseRight;
use tamiz_store::event::NewEvent;
use tamiz_store::plugin::{self, InstalledPlugin};
use tamiz_store::secret_key::{self, SECRET_KEY_BYTES};
use tamiz_store::signal::Signal;
use tamiz_store::task::Task;
use tamiz_store::upload::{self, Upload};
use tamiz_store::worker_log::{NewLine, Written};
use tamiz_store::{Store, StoreError, plan, target, tenant, worker_log};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Begins the attempt; again is no mistake.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn begin(store: &Store, right: &LeaseRight, attempts_max: i32) -> Result<Begin, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let begun = attempt::begin(&mut tx, right.task, right.attempt, right.worker, attempts_max).await?;
    tx.commit().await?;
    Ok(begun)
}

/// Tells the task's watchers. `false` when the attempt no longer may.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn report(store: &Store, right: &LeaseRight, event: &NewEvent<'_>) -> Result<bool, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let ours = attempt::report(&mut tx, right.task, right.attempt, event).await?;
    tx.commit().await?;
    Ok(ours)
}

/// Keeps what the worker said of the task.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn log(store: &Store, right: &LeaseRight, lines: &[NewLine]) -> Result<Written, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let written = worker_log::append(&mut tx, right, lines).await?;
    tx.commit().await?;
    Ok(written)
}

/// Returns when a task that `is_meant` knows is to be cancelled, or may be.
pub(crate) async fn cancelled(signals: &mut Receiver<Signal>, is_meant: impl Fn(TaskId) -> bool) {
    loop {
        match signals.recv().await {
            Ok(Signal::Cancel { task }) if is_meant(task) => return,
            Ok(Signal::Gap) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// What may serve a task.
#[derive(Debug)]
pub struct Serving {
    /// What the tenant's plan says.
    pub plan: LimitSet,
    /// In the order in which they are asked.
    pub plugins: Vec<InstalledPlugin>,
}

/// The plugins of `task` as they may run now: those that it remembers, or for a task from before the
/// registry those of its scan type.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn plugins(store: &Store, right: &LeaseRight, task: &Task) -> Result<Serving, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let plan = plan::of_tenant(&mut tx).await?;
    let ids: Vec<PluginId> = task.payload.plugins.iter().map(|plugin| plugin.id).collect();
    let plugins = if ids.is_empty() {
        plugin::candidates(&mut tx, &task.scan_type).await?
    } else {
        let mut found = plugin::by_ids(&mut tx, &ids).await?;
        let place = |plugin: &InstalledPlugin| ids.iter().position(|id| *id == plugin.id);
        found.sort_by_key(place);
        found
    };
    tx.commit().await?;
    Ok(Serving {
        plan: plan.limits,
        plugins,
    })
}

/// Where the task goes, and the name of the tenant that configured allowances name.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn target(store: &Store, right: &LeaseRight) -> Result<Option<(PinnedTarget, String)>, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let found = target::of_task(&mut tx, right.task).await?;
    let tenant = tenant::own_name(&mut tx).await?;
    tx.commit().await?;
    Ok(found.map(|found| found.pinned).zip(tenant))
}

/// One upload of the tenant.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn upload(store: &Store, right: &LeaseRight, id: UploadId) -> Result<Option<Upload>, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let found = upload::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(found)
}

/// The key that the tenant's found secrets are hashed with.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn secret_key(store: &Store, right: &LeaseRight) -> Result<[u8; SECRET_KEY_BYTES], StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let key = secret_key::get_or_create(&mut tx, rand::random()).await?;
    tx.commit().await?;
    Ok(key)
}
