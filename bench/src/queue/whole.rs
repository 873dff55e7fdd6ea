//! Whole tasks instead of bare tickets: what a scan costs the database when its tool does nothing. Asking checks the
//! quotas and writes task, event and ticket; working begins and ends an attempt, each in a transaction of its own.

use std::collections::BTreeMap;

use tamiz_core::{ProjectId, ScanType, TaskId, TaskStatus, UploadId, WorkerId};
use tamiz_store::attempt::{self, Begin, Ending, Fence};
use tamiz_store::project;
use tamiz_store::queue::Lease;
use tamiz_store::quota::{ask_tasks, storage};
use tamiz_store::task::{self, Made, NewTask, Payload, Terms};
use tamiz_store::{Store, TenantScope, tenant, usage};
use tokio::task::JoinSet;

use crate::Outcome;

/// As a worker has it by default.
const ATTEMPTS_MAX: i32 = 5;

/// The projects of a producer, one a tenant.
pub(crate) struct Projects {
    of: BTreeMap<u64, (TenantScope, ProjectId)>,
    scan_type: ScanType,
    payload: Payload,
}

impl Projects {
    /// Makes them for tenants from number 0 on; `name` is new to them.
    pub(crate) async fn make(store: &Store, tenants: u64, name: &str, scan_type: &ScanType) -> Outcome<Self> {
        let mut of = BTreeMap::new();
        for number in 0..tenants {
            let mut control = store.begin_control().await?;
            let scope = tenant::scope(&mut control, &format!("bench-{number}")).await?;
            let scope = scope.ok_or("the stage made no such tenant")?;
            drop(control);
            let mut tx = store.begin(&scope).await?;
            let project = project::create(&mut tx, name).await?;
            tx.commit().await?;
            of.insert(number, (scope, project.ok_or("the project is there already")?.id));
        }
        Ok(Self {
            of,
            scan_type: scan_type.clone(),
            payload: Payload::of_report(UploadId::fresh()),
        })
    }

    /// Asks for these tasks of one tenant in one transaction.
    pub(crate) async fn ask(&self, store: &Store, tenant: u64, ids: &[TaskId]) -> Outcome<()> {
        let (scope, project) = self.of.get(&tenant).ok_or("a tenant without a project")?;
        let mut tx = store.begin(scope).await?;
        ask_tasks(&mut tx, u32::try_from(ids.len())?, 0).await?;
        let mut tasks = Vec::with_capacity(ids.len());
        for id in ids {
            let new = NewTask {
                id: *id,
                project: *project,
                scan_type: &self.scan_type,
                payload: &self.payload,
                priority: 0,
                terms: Terms::default(),
            };
            match task::place(&mut tx, &new).await? {
                Made::New(task) => tasks.push(*task),
                other => return Err(format!("no new task but {other:?}").into()),
            }
        }
        task::enqueue(&mut tx, &tasks.iter().collect::<Vec<_>>()).await?;
        Ok(tx.commit().await?)
    }
}

/// Begins and ends what was claimed, all at a time.
pub(crate) async fn work_off(store: &Store, worker: WorkerId, leases: Vec<Lease>) -> Outcome<()> {
    let mut slots = JoinSet::new();
    for lease in leases {
        let store = store.clone();
        slots.spawn(async move { begin_and_end(&store, worker, &lease).await });
    }
    while let Some(ended) = slots.join_next().await {
        ended??;
    }
    Ok(())
}

async fn begin_and_end(store: &Store, worker: WorkerId, lease: &Lease) -> Outcome<()> {
    let (task, attempt) = (lease.task, lease.attempt);
    let mut tx = store.begin(&lease.scope).await?;
    let begun = attempt::begin(&mut tx, task, attempt, worker, ATTEMPTS_MAX).await?;
    tx.commit().await?;
    if !matches!(begun, Begin::Run(_)) {
        return Err(format!("a claimed task cannot begin: {begun:?}").into());
    }
    let ending = Ending {
        status: TaskStatus::Completed,
        refusal: None,
        plugin_fault: None,
        message: "done".to_owned(),
        done: Some(0),
        pause: None,
        counts: true,
    };
    let mut tx = store.begin(&lease.scope).await?;
    if attempt::fence(&mut tx, task, attempt).await? != Fence::Open {
        return Err("the fence of a live worker is closed".into());
    }
    storage::settle_attempt(&mut tx, task, attempt, 0).await?;
    usage::add_compute(&mut tx, task, attempt).await?;
    let ended = attempt::end(&mut tx, task, attempt, &ending).await?;
    tx.commit().await?;
    match ended {
        Some(TaskStatus::Completed) => Ok(()),
        other => Err(format!("a task ended as {other:?}").into()),
    }
}
