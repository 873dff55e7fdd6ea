//! What the resolvers of one request share: the caller, one transaction, the batches.
//!
//! The transaction is opened by the first read and ended by [`Session::rest`]: after a query, before
//! and after the flow of a mutation (a request never holds two connections), and after each event of
//! a subscription.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use async_graphql::Context;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tamiz_core::budget::ByteBudget;
use tamiz_core::plugin::LimitSet;
use tamiz_core::{AlertId, ArtifactId, GroupId, PluginId, ProjectId, ScheduleId, TaskId, TaskStatus};
use tamiz_store::alert::{self, AlertRow};
use tamiz_store::artifact::{self, Artifact};
use tamiz_store::attempt::{self, AttemptRow};
use tamiz_store::group::{self, Group};
use tamiz_store::pause::{self, Pause};
use tamiz_store::pcap_session::{self, PcapSession};
use tamiz_store::plan;
use tamiz_store::plugin::{self, InstalledPlugin};
use tamiz_store::project::{self, Project};
use tamiz_store::queue_view::{self, Reached};
use tamiz_store::scan_result::{self, ScanResult};
use tamiz_store::schedule::{self, Schedule};
use tamiz_store::target::{self, TaskTarget};
use tamiz_store::task::{self, Task};
use tamiz_store::token::Caller;
use tamiz_store::tool_execution::{self, ToolExecution};
use tamiz_store::{Store, StoreError, TenantTx, event, finding};
use tokio::sync::Mutex;

use super::answer_bytes::{ANSWER_BYTES_MAX, too_large};
use super::batch::grouped;
use super::batches::{Batches, TenantCounts};
use super::feed::Feeds;
use super::principal::{Asker, no_tenant};
use super::task_event::{EventsKey, TaskEvent};
use super::task_page::by;
use super::turns::Turns;
use crate::api::errors::ApiError;
use crate::api::state::ApiState;
use crate::flow::{FlowError, note_refusal};

/// One request's share of the server.
pub(super) struct Session {
    pub(super) state: Arc<ApiState>,
    pub(super) caller: Caller,
    /// What is read once for all who follow it.
    pub(super) feeds: Arc<Feeds>,
    /// Boxed, for most streams rest.
    transaction: Mutex<Option<Box<TenantTx>>>,
    /// What the rows and the answer may hold together.
    pub(super) budget: Arc<ByteBudget>,
    reads: AtomicU64,
    /// When there is room again under the limits that refused something.
    room_at: std::sync::Mutex<Option<DateTime<Utc>>>,
    /// The answer holds a secret, and is kept nowhere.
    told_secret: AtomicBool,
    /// Made when something is loaded: most streams load nothing.
    batches: std::sync::Mutex<Option<Arc<Batches>>>,
    /// When batches are fetched.
    pub(super) turns: Arc<Turns>,
}

impl Session {
    pub(super) fn new(state: Arc<ApiState>, caller: Caller, feeds: Arc<Feeds>) -> Self {
        Self {
            state,
            caller,
            feeds,
            transaction: Mutex::new(None),
            budget: Arc::new(ByteBudget::new(ANSWER_BYTES_MAX)),
            reads: AtomicU64::new(0),
            room_at: std::sync::Mutex::default(),
            told_secret: AtomicBool::new(false),
            batches: std::sync::Mutex::default(),
            turns: Arc::default(),
        }
    }

    /// The session of the request that `context` belongs to; refused to operators.
    pub(super) fn of<'a>(context: &Context<'a>) -> Result<&'a Arc<Self>, ApiError> {
        match Asker::of(context)? {
            Asker::Tenant(session) => Ok(session),
            Asker::Operator(_) => Err(no_tenant().into()),
        }
    }

    /// What was loaded since the last rest.
    pub(super) fn batches(&self) -> Arc<Batches> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = batches.get_or_insert_with(|| Arc::new(Batches::new(&self.turns)));
        Arc::clone(batches)
    }

    pub(super) fn store(&self) -> &Store {
        &self.state.store
    }

    /// Asks the request's transaction one question. After a failed one the transaction is of no
    /// use any more; the next question opens another. Boxed for the reason that [`Batch::load`] tells.
    ///
    /// [`Batch::load`]: super::batch::Batch::load
    pub(super) fn read<'s, T, Question>(
        &'s self,
        question: Question,
    ) -> Pin<Box<impl Future<Output = Result<T, ApiError>> + use<'s, T, Question>>>
    where
        Question: for<'t> FnOnce(&'t mut TenantTx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 's,
    {
        Box::pin(async move {
            let _reading = self.turns.reading();
            let mut slot = self.transaction.lock().await;
            let mut transaction = match slot.take() {
                Some(transaction) => transaction,
                None => Box::new(self.begin().await?),
            };
            self.reads.fetch_add(1, Ordering::Relaxed);
            let answer = question(&mut transaction).await.map_err(|error| match error {
                StoreError::TooMuch { .. } => too_large().into(),
                other => ApiError::of_store(&other),
            })?;
            *slot = Some(transaction);
            Ok(answer)
        })
    }

    /// Asks one question that is not the transaction's. That is ended first, so that no request holds two
    /// connections; the next question opens another.
    async fn read_apart<'s, T>(
        &'s self,
        question: impl FnOnce(&'s Store) -> BoxFuture<'s, Result<T, StoreError>> + Send,
    ) -> Result<T, ApiError> {
        let _reading = self.turns.reading();
        let mut slot = self.transaction.lock().await;
        if let Some(transaction) = slot.take() {
            // it only read; a failed end rolls back, which is the same
            let _ = transaction.commit().await;
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        question(self.store())
            .await
            .map_err(|error| ApiError::of_store(&error))
    }

    async fn begin(&self) -> Result<TenantTx, ApiError> {
        let begun = self.store().begin(&self.caller.scope.aside()).await;
        let mut transaction = begun.map_err(|error| ApiError::of_store(&error))?;
        transaction.pay_from(Arc::clone(&self.budget));
        Ok(transaction)
    }

    /// Questions asked so far: the number of SQL statements. The query's shape bounds it: one per field
    /// that loads, whatever the number of rows.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// What a flow answered; a refusal by a limit goes to the audit log and into the answer's `Retry-After`.
    pub(super) async fn noted<T>(&self, outcome: Result<T, FlowError>) -> Result<T, FlowError> {
        let (scope, token) = (self.caller.scope.aside(), Some(self.caller.token));
        let outcome = note_refusal::noted(self.store(), &scope, token, outcome).await;
        if let Err(FlowError::Refused(refusal)) = &outcome
            && let Some(limit) = &refusal.limit
        {
            let mut room_at = self.room_at.lock().unwrap_or_else(PoisonError::into_inner);
            *room_at = (*room_at).max(limit.room_at);
        }
        outcome
    }

    /// When there is room again for all that was refused, where that is known.
    pub(super) fn room_at(&self) -> Option<DateTime<Utc>> {
        *self.room_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer holds a secret from now on.
    pub(super) fn tell_secret(&self) {
        self.told_secret.store(true, Ordering::Relaxed);
    }

    /// Whether the answer holds a secret.
    pub(super) fn told_secret(&self) -> bool {
        self.told_secret.load(Ordering::Relaxed)
    }

    /// Ends the transaction and forgets what was read.
    pub(super) async fn rest(&self) {
        if let Some(transaction) = self.transaction.lock().await.take() {
            // it only read; a failed end rolls back, which is the same. Boxed, for most streams read nothing
            let _ = Box::pin(transaction.commit()).await;
        }
        *self.batches.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) async fn project(&self, id: ProjectId) -> Result<Option<Arc<Project>>, ApiError> {
        let fetch = async |ids: Vec<ProjectId>| {
            let rows = self
                .read(|tx| Box::pin(async move { project::by_ids(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
        };
        self.batches().projects.load(id, fetch).await
    }

    pub(super) async fn task(&self, id: TaskId) -> Result<Option<Arc<Task>>, ApiError> {
        let fetch = async |ids: Vec<TaskId>| {
            let rows = self
                .read(|tx| Box::pin(async move { task::by_ids(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
        };
        self.batches().tasks.load(id, fetch).await
    }

    pub(super) async fn alert(&self, id: AlertId) -> Result<Option<Arc<AlertRow>>, ApiError> {
        let fetch = async |ids: Vec<AlertId>| {
            let rows = self
                .read(|tx| Box::pin(async move { alert::by_ids(tx, &ids).await }))
                .await?;
            Ok(rows
                .into_iter()
                .map(|row| (row.id.into(), Arc::new(row)))
                .collect())
        };
        self.batches().alerts.load(id, fetch).await
    }

    pub(super) async fn plugin(&self, id: PluginId) -> Result<Option<Arc<InstalledPlugin>>, ApiError> {
        let fetch = async |ids: Vec<PluginId>| {
            let rows = self
                .read(|tx| Box::pin(async move { plugin::by_ids(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
        };
        self.batches().plugins.load(id, fetch).await
    }

    pub(super) async fn group(&self, id: GroupId) -> Result<Option<Arc<Group>>, ApiError> {
        let fetch = async |ids: Vec<GroupId>| {
            let rows = self
                .read(|tx| Box::pin(async move { group::by_ids(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
        };
        self.batches().groups.load(id, fetch).await
    }

    pub(super) async fn group_counts_of(&self, id: GroupId) -> Result<Arc<Vec<(TaskStatus, i64)>>, ApiError> {
        let fetch = async |ids: Vec<GroupId>| {
            let counts = self
                .read(|tx| Box::pin(async move { group::counts(tx, &ids).await }))
                .await?;
            Ok(counts
                .into_iter()
                .map(|(id, counts)| (id, Arc::new(counts)))
                .collect())
        };
        Ok(self
            .batches()
            .group_counts_of
            .load(id, fetch)
            .await?
            .unwrap_or_default())
    }

    pub(super) async fn schedule(&self, id: ScheduleId) -> Result<Option<Arc<Schedule>>, ApiError> {
        let fetch = async |ids: Vec<ScheduleId>| {
            let rows = self
                .read(|tx| Box::pin(async move { schedule::by_ids(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
        };
        self.batches().schedules.load(id, fetch).await
    }

    /// What holds back the caller's tasks.
    pub(super) async fn pauses(&self) -> Result<Arc<Vec<Pause>>, ApiError> {
        let fetch = async |_: Vec<()>| {
            let pauses = self.read(|tx| Box::pin(pause::of_tenant(tx))).await?;
            Ok(HashMap::from([((), Arc::new(pauses))]))
        };
        Ok(self.batches().pauses.load((), fetch).await?.unwrap_or_default())
    }

    /// At which limits the caller's waiting tasks are.
    pub(super) async fn limits_reached(&self) -> Result<Arc<Reached>, ApiError> {
        let fetch = async |_: Vec<()>| {
            let mut reached = self.read(|tx| Box::pin(queue_view::reached(tx))).await?;
            if let Some(max) = reached.starts_in_question() {
                let scope = self.caller.scope;
                let starts =
                    self.read_apart(|store| Box::pin(async move { store.starts_reached(&scope, max).await }));
                reached.tell_starts(starts.await?);
            }
            Ok(HashMap::from([((), Arc::new(reached))]))
        };
        Ok(self
            .batches()
            .limits_reached
            .load((), fetch)
            .await?
            .unwrap_or_default())
    }

    /// What the caller's plan says about plugins.
    pub(super) async fn plan_limits(&self) -> Result<LimitSet, ApiError> {
        let fetch = async |_: Vec<()>| {
            let plan = self.read(|tx| Box::pin(plan::of_tenant(tx))).await?;
            Ok(HashMap::from([((), plan.limits)]))
        };
        Ok(self
            .batches()
            .plan_limits
            .load((), fetch)
            .await?
            .unwrap_or_default())
    }

    pub(super) async fn artifact(&self, id: ArtifactId) -> Result<Option<Arc<Artifact>>, ApiError> {
        let fetch = async |ids: Vec<ArtifactId>| {
            let rows = self
                .read(|tx| Box::pin(async move { artifact::by_ids(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
        };
        self.batches().artifacts.load(id, fetch).await
    }

    pub(super) async fn artifacts_of(&self, task: TaskId) -> Result<Arc<Vec<Arc<Artifact>>>, ApiError> {
        let fetch = async |ids: Vec<TaskId>| {
            let rows = self
                .read(|tx| Box::pin(async move { artifact::of_tasks(tx, &ids).await }))
                .await?;
            Ok(grouped(rows.into_iter().map(|row| (row.task_id, row))))
        };
        Ok(self
            .batches()
            .artifacts_of
            .load(task, fetch)
            .await?
            .unwrap_or_default())
    }

    pub(super) async fn executions_of(&self, task: TaskId) -> Result<Arc<Vec<Arc<ToolExecution>>>, ApiError> {
        let fetch = async |ids: Vec<TaskId>| {
            let rows = self
                .read(|tx| Box::pin(async move { tool_execution::of_tasks(tx, &ids).await }))
                .await?;
            Ok(grouped(rows.into_iter().map(|row| (row.task_id, row))))
        };
        Ok(self
            .batches()
            .executions_of
            .load(task, fetch)
            .await?
            .unwrap_or_default())
    }

    pub(super) async fn result_of(&self, task: TaskId) -> Result<Option<Arc<ScanResult>>, ApiError> {
        let fetch = async |ids: Vec<TaskId>| {
            let rows = self
                .read(|tx| Box::pin(async move { scan_result::of_tasks(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.task_id, Arc::new(row))).collect())
        };
        self.batches().results_of.load(task, fetch).await
    }

    pub(super) async fn target_of(&self, task: TaskId) -> Result<Option<Arc<TaskTarget>>, ApiError> {
        let fetch = async |ids: Vec<TaskId>| {
            let rows = self
                .read(|tx| Box::pin(async move { target::of_tasks(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.task_id, Arc::new(row))).collect())
        };
        self.batches().targets_of.load(task, fetch).await
    }

    pub(super) async fn pcap_session_of(&self, task: TaskId) -> Result<Option<Arc<PcapSession>>, ApiError> {
        let fetch = async |ids: Vec<TaskId>| {
            let rows = self
                .read(|tx| Box::pin(async move { pcap_session::of_tasks(tx, &ids).await }))
                .await?;
            Ok(rows.into_iter().map(|row| (row.task_id, Arc::new(row))).collect())
        };
        self.batches().pcap_sessions_of.load(task, fetch).await
    }

    pub(super) async fn attempts_of(&self, task: TaskId) -> Result<Arc<Vec<Arc<AttemptRow>>>, ApiError> {
        let fetch = async |ids: Vec<TaskId>| {
            let rows = self
                .read(|tx| Box::pin(async move { attempt::of_tasks(tx, &ids).await }))
                .await?;
            Ok(grouped(rows.into_iter()))
        };
        Ok(self
            .batches()
            .attempts_of
            .load(task, fetch)
            .await?
            .unwrap_or_default())
    }

    pub(super) async fn events_of(&self, key: EventsKey) -> Result<Arc<Vec<TaskEvent>>, ApiError> {
        let fetch = async |keys: Vec<EventsKey>| {
            let mut found: HashMap<EventsKey, Arc<Vec<TaskEvent>>> = HashMap::new();
            for ((after, rows_max), tasks) in by(keys, |key| ((key.after, key.rows_max), key.task)) {
                let rows = self
                    .read(|tx| Box::pin(async move { event::of_tasks(tx, &tasks, after, rows_max).await }))
                    .await?;
                let mut events: HashMap<TaskId, Vec<TaskEvent>> = HashMap::new();
                for (task, event) in rows {
                    events.entry(task).or_default().push(TaskEvent { task, event });
                }
                found.extend(events.into_iter().map(|(task, events)| {
                    let key = EventsKey {
                        task,
                        after,
                        rows_max,
                    };
                    (key, Arc::new(events))
                }));
            }
            Ok(found)
        };
        Ok(self
            .batches()
            .events_of
            .load(key, fetch)
            .await?
            .unwrap_or_default())
    }

    /// Alerts of all projects by state and severity.
    pub(super) async fn alert_counts_of_tenant(&self) -> Result<Arc<TenantCounts>, ApiError> {
        let fetch = async |_: Vec<()>| {
            let counts = self.read(|tx| Box::pin(alert::counts_of_tenant(tx))).await?;
            Ok(HashMap::from([((), Arc::new(counts))]))
        };
        let counts = self.batches().alert_counts_of_tenant.load((), fetch).await?;
        Ok(counts.unwrap_or_default())
    }

    /// Findings by severity, from info to critical.
    pub(super) async fn severities_of(&self, project: ProjectId) -> Result<[i64; 5], ApiError> {
        let fetch = async |ids: Vec<ProjectId>| {
            let rows = self
                .read(|tx| Box::pin(async move { finding::severity_counts(tx, &ids).await }))
                .await?;
            let mut counts: HashMap<ProjectId, [i64; 5]> = HashMap::new();
            for (project, severity, count) in rows {
                counts.entry(project).or_default()[severity as usize] = count;
            }
            Ok(counts)
        };
        Ok(self
            .batches()
            .severities_of
            .load(project, fetch)
            .await?
            .unwrap_or_default())
    }
}
