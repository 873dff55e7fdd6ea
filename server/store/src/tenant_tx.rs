//! A short transaction that sees one tenant's rows.

use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tamiz_core::budget::ByteBudget;
use tamiz_core::{ProjectId, TaskId, TenantId};
use uuid::Uuid;

use crate::alert::rule_count::RuleCounts;
use crate::connect::{ACQUIRE_SECONDS_MAX, Store};
use crate::error::StoreError;
use crate::held::{Held, Name};
use crate::idempotency;
use crate::scope::TenantScope;
use crate::shares::Place;
use crate::signal::{Class, News, Signal};
use crate::webhook::outbox::Outbox;
use crate::weight::Allowance;

/// Somebody who can do without a connection waits no longer for it. Making a new one takes a busy machine a while.
const SOON: Duration = Duration::from_millis(500);

/// The only way to a tenant's rows. Dropped without [`TenantTx::commit`], it rolls back,
/// and a statement that it runs then is cancelled.
///
/// Short: none is held across a tool run, a plugin call or the network.
#[derive(Debug)]
pub struct TenantTx {
    held: Held,
    store: Store,
    scope: TenantScope,
    signals: Vec<News>,
    /// Scan types of tasks that end here.
    ended: Vec<String>,
    allowance: Allowance,
    /// Written when this commits.
    pub(crate) outbox: Outbox,
    /// Written when this commits.
    pub(crate) rule_counts: RuleCounts,
}

impl Store {
    /// Opens a transaction in `scope`: `BEGIN`, the tenant's setting and the transaction's own name travel in one message.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the tenant holds its share of connections,
    /// [`StoreError::Unavailable`] when there is none at all.
    pub async fn begin(&self, scope: &TenantScope) -> Result<TenantTx, StoreError> {
        let place = self.place(scope).await?;
        self.begin_at(scope, place).await
    }

    /// One of the connections that the tenant may hold at once.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it holds its share.
    pub(crate) async fn place(&self, scope: &TenantScope) -> Result<Place, StoreError> {
        let patience = Duration::from_secs(ACQUIRE_SECONDS_MAX);
        let place = self.tenants.wait(scope.tenant_id(), patience).await;
        place.ok_or(StoreError::Busy)
    }

    /// The same for somebody who holds a transaction already and can do without another one: none, if the tenant has no
    /// place for it or no connection is free soon.
    pub async fn begin_if_free(&self, scope: &TenantScope) -> Option<TenantTx> {
        let place = self.tenants.take(scope.tenant_id())?;
        let opening = self.begin_at(scope, place);
        tokio::time::timeout(SOON, opening).await.ok()?.ok()
    }

    async fn begin_at(&self, scope: &TenantScope, place: Place) -> Result<TenantTx, StoreError> {
        // UUIDs print as hex digits and hyphens, nothing else
        let name = Name::fresh();
        let begin = format!(
            "begin; set local tamiz.tenant_id = '{}'; set local application_name = '{name}'",
            scope.tenant_id()
        );
        let pool = self.app.clone();
        // On a task of its own: a caller that is dropped between the message and its answer would
        // give a connection back to the pool with the transaction still open.
        let opening = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(begin)).await });
        let transaction = opening
            .await
            .map_err(|_| StoreError::Unavailable(sqlx::Error::WorkerCrashed))??;
        Ok(TenantTx {
            held: Held::new(transaction, place, name, self.cancels.clone()),
            store: self.clone(),
            scope: *scope,
            signals: Vec::new(),
            ended: Vec::new(),
            allowance: Allowance::default(),
            outbox: Outbox::default(),
            rule_counts: RuleCounts::default(),
        })
    }
}

impl TenantTx {
    /// Whose rows.
    pub const fn scope(&self) -> TenantScope {
        self.scope
    }

    /// From now on rows that may be large are paid from `budget`; reads fail when it is used up.
    pub fn pay_from(&mut self, budget: Arc<ByteBudget>) {
        self.allowance = Allowance::of(budget);
    }

    /// Counts alerts by rule, writes what webhooks tell of it, marks the idempotency key that it is carried out for,
    /// makes the writes durable, then tells watchers and workers.
    ///
    /// # Errors
    /// Whatever the commit meets; nothing is announced then.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        std::mem::take(&mut self.rule_counts).write(&mut self).await?;
        std::mem::take(&mut self.outbox).write(&mut self).await?;
        if let Some(run) = self.scope.run() {
            idempotency::mark(&mut self, run).await?;
        }
        let Self {
            held,
            store,
            signals,
            ended,
            scope,
            ..
        } = self;
        let Some((transaction, place)) = held.take() else {
            return Ok(());
        };
        // On a task of its own: a caller that is dropped meanwhile must not leave written what was
        // never announced, nor roll back on a connection that has committed.
        let committing = tokio::spawn(async move {
            transaction.commit().await?;
            drop(place);
            for scan_type in ended {
                store.pace.ended(scope.tenant_id(), &scan_type);
            }
            for signal in signals {
                store.signals.tell(signal);
            }
            Ok(())
        });
        committing
            .await
            .map_err(|_| StoreError::Unavailable(sqlx::Error::WorkerCrashed))?
    }

    pub(crate) fn tenant(&self) -> Uuid {
        TenantId::uuid(self.scope.tenant_id())
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.held.connection()
    }

    /// What reads of large rows are paid from.
    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    /// Counted after the commit: a task of this type has ended.
    pub(crate) fn will_count_end(&mut self, scan_type: String) {
        self.ended.push(scan_type);
    }

    /// Announced after the commit: watchers of `task` have something to read.
    pub(crate) fn will_signal_task(&mut self, task: TaskId) {
        let tenant = self.scope.tenant_id();
        self.signals.push(News::Signal(Signal::Task { tenant, task }));
    }

    /// Announced after the commit: watchers of `project` have something to read. Ids are unique over all kinds: they
    /// listen where those of tasks do.
    pub(crate) fn will_signal_project(&mut self, project: ProjectId) {
        self.will_signal_task(TaskId::from(project.uuid()));
    }

    /// Announced after the commit: tickets are ready to be claimed.
    pub(crate) fn will_signal_tickets(&mut self, class: Option<Class>, count: u32) {
        self.signals.push(News::Tickets { class, count });
    }

    /// Announced after the commit: tickets of these classes are no longer held back by a limit.
    pub(crate) fn will_signal_opened(&mut self, classes: Vec<Class>) {
        let news = classes.into_iter().map(|class| News::Opened { class });
        self.signals.extend(news);
    }

    /// Announced after the commit: whoever runs `task` should look whether it is still wanted.
    pub(crate) fn will_signal_cancel(&mut self, task: TaskId) {
        self.signals.push(News::Signal(Signal::Cancel { task }));
    }
}
