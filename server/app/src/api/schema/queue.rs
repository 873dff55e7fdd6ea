//! The queue as GraphQL shows it: all of it to operators, its own part to a tenant.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::TenantId;
use tamiz_store::queue_view::{self, LimitRefusals, QueueRow, TenantQueue};
use tamiz_store::{StoreError, pause};
use tokio::time::sleep;

use super::connection::{Asked, Listed, asked, connection, decode, encode, limit_of};
use super::id::Ref;
use super::principal::{Asker, OperatorSession};
use super::session::Session;
use super::words::BigInt;
use crate::api::errors::ApiError;

const ORDER: &str = "tenant-queues";
/// A watcher sees a change so late at most.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// What waits and runs. An operator's token sees all tenants together, a tenant's its own.
pub(crate) struct Queue;

/// Tickets of one scan type.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct QueueScanType {
    /// Which plugins serve them.
    scan_type: String,
    /// Ready to be claimed, or held back by a limit or a pause.
    waiting: BigInt,
    /// Of later, those that are tried again among them.
    scheduled: BigInt,
    /// Worked on.
    running: BigInt,
    /// How long the longest waiting of the first in line has been ready.
    oldest_wait_seconds: Option<f64>,
    /// Of a tenant: how many may run at a time.
    running_max: Option<i32>,
    /// A limit is reached, so something waits that could run.
    at_limit: bool,
    /// Somebody holds them back.
    paused: bool,
    /// Claims per minute, over the last minutes.
    claimed_per_minute: f64,
    /// Tasks that came to their end per minute, over the last minutes.
    ended_per_minute: f64,
    /// From being ready to being claimed, over the last minutes: half of the claims were faster.
    claim_p50_seconds: Option<f64>,
    /// 99 of 100 were faster.
    claim_p99_seconds: Option<f64>,
}

impl From<QueueRow> for QueueScanType {
    fn from(row: QueueRow) -> Self {
        Self {
            scan_type: row.scan_type,
            waiting: BigInt::from(row.waiting.unsigned_abs()),
            scheduled: BigInt::from(row.scheduled.unsigned_abs()),
            running: BigInt::from(row.running.unsigned_abs()),
            oldest_wait_seconds: row.oldest_wait_seconds,
            running_max: row.running_max,
            at_limit: row.at_limit,
            paused: row.paused,
            claimed_per_minute: row.claimed_per_minute,
            ended_per_minute: row.ended_per_minute,
            claim_p50_seconds: row.claim_p50_seconds,
            claim_p99_seconds: row.claim_p99_seconds,
        }
    }
}

/// Something that is held back.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(name = "OperatorPause")]
pub(crate) struct Pause {
    /// Whose tasks; null is everybody's.
    tenant_id: Option<Ref<TenantId>>,
    /// Of which type; null is all.
    scan_type: Option<String>,
    /// Why.
    reason: String,
    /// Who did it: the name of a token, or of the operator's command.
    paused_by: String,
    /// The operator did, not the tenant.
    by_operator: bool,
    /// When it began.
    paused_at: DateTime<Utc>,
}

impl From<pause::Pause> for Pause {
    fn from(pause: pause::Pause) -> Self {
        Self {
            tenant_id: pause.tenant.map(|id| TenantId::from(id).into()),
            scan_type: pause.scan_type,
            reason: pause.reason,
            paused_by: pause.by,
            by_operator: pause.by_operator,
            paused_at: pause.since,
        }
    }
}

/// How often a limit said no.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(name = "LimitRefusals")]
pub(crate) struct Refusals {
    /// Which limit; that of one scan type has it in its name, as in `tasks-running.web`.
    limit: String,
    /// So often.
    count: BigInt,
    /// The last time.
    refused_at: DateTime<Utc>,
}

impl From<LimitRefusals> for Refusals {
    fn from(refusals: LimitRefusals) -> Self {
        Self {
            limit: refusals.limit,
            count: BigInt::from(refusals.count.unsigned_abs()),
            refused_at: refusals.refused_at,
        }
    }
}

/// One tenant's part of the queue.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(name = "TenantQueue")]
pub(crate) struct OfTenant {
    /// Whose.
    tenant_id: Ref<TenantId>,
    /// Its name.
    tenant_name: String,
    /// Its part of the workers, against the others'.
    weight: f64,
    /// How many of its tasks may run at a time.
    running_max: Option<i32>,
    /// By scan type.
    scan_types: Vec<QueueScanType>,
    /// Which limits said no to it, and how often.
    refusals: Vec<Refusals>,
}

impl From<TenantQueue> for OfTenant {
    fn from(queue: TenantQueue) -> Self {
        Self {
            tenant_id: queue.tenant.into(),
            tenant_name: queue.name,
            weight: f64::from(queue.weight),
            running_max: queue.running_max,
            scan_types: queue.rows.into_iter().map(Into::into).collect(),
            refusals: queue.refusals.into_iter().map(Into::into).collect(),
        }
    }
}

connection!(
    /// A page of tenants.
    TenantQueueConnection, TenantQueueEdge, OfTenant
);

/// What waits and runs. An operator's token sees all tenants together, a tenant's its own.
#[Object]
impl Queue {
    /// By scan type.
    async fn scan_types(&self, context: &Context<'_>) -> Result<Vec<QueueScanType>, ApiError> {
        let rows = match Asker::of(context)? {
            Asker::Tenant(session) => session.read(|tx| Box::pin(queue_view::own(tx))).await?,
            Asker::Operator(session) => known(queue_view::totals(&mut session.begin().await?).await)?,
        };
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// For operators: what is held back, of everybody and of tenants. A tenant asks for `queuePauses`.
    async fn pauses(&self, context: &Context<'_>) -> Result<Option<Vec<Pause>>, ApiError> {
        let session = OperatorSession::of(context)?;
        let rows = known(queue_view::all_pauses(&mut session.begin().await?).await)?;
        Ok(Some(rows.into_iter().map(Into::into).collect()))
    }

    /// Which limits said no, and how often.
    async fn refusals(&self, context: &Context<'_>) -> Result<Vec<Refusals>, ApiError> {
        let rows = match Asker::of(context)? {
            Asker::Tenant(session) => session.read(|tx| Box::pin(queue_view::refusals(tx))).await?,
            Asker::Operator(session) => known(queue_view::all_refusals(&mut session.begin().await?).await)?,
        };
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// For operators: each tenant's part.
    async fn tenants(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<Option<TenantQueueConnection>, ApiError> {
        let session = OperatorSession::of(context)?;
        let page = TenantQueueConnection::page(session, &asked(first, after, last, before)).await?;
        Ok(Some(page))
    }

    /// For operators: the tenants with most waiting, then most running tasks, none that has neither.
    async fn busiest(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many at most, 20 if not said.")] first: Option<i32>,
    ) -> Result<Option<Vec<OfTenant>>, ApiError> {
        let session = OperatorSession::of(context)?;
        let limit = limit_of(session.state.settings.graphql_page_max, "first", first)?;
        let mut tx = session.begin().await?;
        let rows = known(queue_view::busiest(&mut tx, i64::from(limit.get())).await)?;
        Ok(Some(rows.into_iter().map(Into::into).collect()))
    }
}

impl TenantQueueConnection {
    async fn page(session: &Arc<OperatorSession>, asked: &Asked) -> Result<Self, ApiError> {
        let rows_max = session.state.settings.graphql_page_max;
        let window = asked.window_of(rows_max, |cursor| decode(ORDER, cursor))?;
        let mut tx = session.begin().await?;
        let page = known(queue_view::tenants(&mut tx, window).await)?;
        Ok(Self {
            listed: Listed::of(page, OfTenant::from, |node: &OfTenant| {
                encode(ORDER, node.tenant_id.0)
            }),
        })
    }
}

/// Whose queue is watched.
enum Watched {
    Tenant(Arc<Session>),
    Operator(Arc<OperatorSession>),
}

/// Tells that the queue has other numbers: what waits, what runs, what is held back. Rates and times change by
/// themselves and count for nothing here.
pub(super) struct QueueWatch {
    watched: Watched,
    told: Option<Vec<Standing>>,
}

/// Scan type; waiting, scheduled, running; at its limit, paused.
type Standing = (String, [i64; 3], [bool; 2]);

impl QueueWatch {
    pub(super) fn new(context: &Context<'_>) -> Result<Self, ApiError> {
        let watched = match Asker::of(context)? {
            Asker::Tenant(session) => Watched::Tenant(Arc::clone(session)),
            Asker::Operator(session) => Watched::Operator(Arc::clone(session)),
        };
        Ok(Self { watched, told: None })
    }

    pub(super) async fn next(&mut self) -> Result<(), ApiError> {
        loop {
            let rows = match &self.watched {
                Watched::Tenant(session) => {
                    let rows = session.read(|tx| Box::pin(queue_view::own(tx))).await;
                    // no connection is held while the stream waits
                    session.rest().await;
                    rows?
                }
                Watched::Operator(session) => known(queue_view::totals(&mut session.begin().await?).await)?,
            };
            let standing: Vec<Standing> = rows.into_iter().map(standing).collect();
            if self.told.as_ref() != Some(&standing) {
                self.told = Some(standing);
                return Ok(());
            }
            sleep(WATCH_EVERY).await;
        }
    }
}

fn standing(row: QueueRow) -> Standing {
    (
        row.scan_type,
        [row.waiting, row.scheduled, row.running],
        [row.at_limit, row.paused],
    )
}

fn known<T>(read: Result<T, StoreError>) -> Result<T, ApiError> {
    read.map_err(|error| ApiError::of_store(&error))
}
