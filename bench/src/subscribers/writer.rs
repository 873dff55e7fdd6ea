//! A task that is under way, and what happens to it: written as a worker writes it, in this process.

use std::sync::Mutex;
use std::time::Instant;

use tamiz_core::progress::Phase;
use tamiz_core::{ScanType, TaskId, TaskStatus, UploadId, WorkerId};
use tamiz_store::attempt::{self, Begin};
use tamiz_store::event::NewEvent;
use tamiz_store::quota::ask_tasks;
use tamiz_store::task::{self, Made, NewTask, Payload, Terms};
use tamiz_store::{Store, StoreConfig, TenantScope, project, tenant};

use crate::Outcome;
use crate::stand::Stand;

const CONNECTIONS: u32 = 4;
const ATTEMPTS_MAX: i32 = 5;
const ATTEMPT: i32 = 1;

pub(super) struct Writer {
    store: Store,
    scope: TenantScope,
    pub(super) task: TaskId,
    /// When each event's commit began, from number 1 on; none of those from before.
    begun: Mutex<Vec<Option<Instant>>>,
}

impl Writer {
    /// A task of the stand's tenant that a worker has begun.
    pub(super) async fn begin(stand: &Stand) -> Outcome<Self> {
        let store = Store::open(&StoreConfig {
            database_url: stand.database_url.clone(),
            connections_max: CONNECTIONS,
        })
        .await?;
        let mut control = store.begin_control().await?;
        let scope = tenant::scope(&mut control, "bench").await?;
        let scope = scope.ok_or("the stand made no tenant")?;
        drop(control);
        let scan_type = ScanType::parse("codeaudit").map_err(|error| error.to_string())?;
        let mut tx = store.begin(&scope).await?;
        let project = project::create(&mut tx, "subscribers").await?;
        let project = project.ok_or("the project is there already")?.id;
        ask_tasks(&mut tx, 1, 0).await?;
        let task = TaskId::fresh();
        let payload = Payload::of_report(UploadId::fresh());
        let new = NewTask {
            id: task,
            project,
            scan_type: &scan_type,
            payload: &payload,
            priority: 0,
            terms: Terms::default(),
        };
        let Made::New(made) = task::place(&mut tx, &new).await? else {
            return Err("no new task".into());
        };
        task::enqueue(&mut tx, &[&*made]).await?;
        tx.commit().await?;
        let mut tx = store.begin(&scope).await?;
        let begun = attempt::begin(&mut tx, task, ATTEMPT, WorkerId::fresh(), ATTEMPTS_MAX).await?;
        let Begin::Run(running) = begun else {
            return Err(format!("a fresh task cannot begin: {begun:?}").into());
        };
        tx.commit().await?;
        let events = usize::try_from(running.event_seq)?;
        Ok(Self {
            store,
            scope,
            task,
            begun: Mutex::new(vec![None; events]),
        })
    }

    /// So many events, a transaction each.
    pub(super) async fn tell(&self, events: usize) -> Outcome<()> {
        for _ in 0..events {
            let mut tx = self.store.begin(&self.scope).await?;
            let event = NewEvent {
                status: TaskStatus::Running,
                phase: Phase::Converting,
                message: "converting, 48 findings so far",
                done: Some(48),
                total: None,
            };
            if !attempt::report(&mut tx, self.task, ATTEMPT, &event).await? {
                return Err("the attempt may not write any more".into());
            }
            self.begun
                .lock()
                .map_err(|_| "a poisoned lock")?
                .push(Some(Instant::now()));
            tx.commit().await?;
        }
        Ok(())
    }

    /// Number of the last event.
    pub(super) fn told(&self) -> usize {
        self.begun.lock().map_or(0, |begun| begun.len())
    }

    /// When the commit of this event began.
    pub(super) fn begun(&self, seq: usize) -> Option<Instant> {
        let begun = self.begun.lock().ok()?;
        begun.get(seq.checked_sub(1)?).copied().flatten()
    }
}
