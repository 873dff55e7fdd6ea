//! The queue as it is looked at: how much waits and runs, since when, how fast it goes, what holds it back.
//!
//! Read from the lanes' counters, the heads of their tickets and the pace of the last minutes, never by
//! counting tickets, so a look costs the same at ten tickets and at a million. A tenant sees its own
//! ([`own`]); the rest takes the operator's transaction.

mod reached;
mod refusals;

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use tamiz_core::TenantId;
use uuid::Uuid;

use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::pace::quantile_seconds;
use crate::page::{Page, Window};
use crate::pause::{self, Pause};
use crate::tenant_tx::TenantTx;
use refusals::refusals_of;

pub use reached::{Reached, StartsMax, reached};
pub use refusals::{LimitRefusals, all_refusals, latest_refused, refusals};

/// Rates are over the minute that runs and so many before it.
const FULL_MINUTES: i32 = 4;

/// Tickets of one scan type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueRow {
    /// Which plugins serve them.
    pub scan_type: String,
    /// Ready to be claimed, or held back by a limit or a pause.
    pub waiting: i64,
    /// Of later.
    pub scheduled: i64,
    /// Leased.
    pub running: i64,
    /// How long the first in line have been ready, the longest of them. Of tickets of equal priority
    /// it is the oldest that waits.
    pub oldest_wait_seconds: Option<f64>,
    /// The tenant's limit of running ones of this type.
    pub running_max: Option<i32>,
    /// A limit is reached.
    pub at_limit: bool,
    /// Somebody holds them back.
    pub paused: bool,
    /// Over the last minutes.
    pub claimed_per_minute: f64,
    /// Tasks that came to their end, over the last minutes.
    pub ended_per_minute: f64,
    /// From being ready to being claimed, over the last minutes: half of the claims were faster.
    pub claim_p50_seconds: Option<f64>,
    /// 99 of 100 were faster.
    pub claim_p99_seconds: Option<f64>,
}

/// One tenant's queue.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantQueue {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its part of the workers, against the others'.
    pub weight: f32,
    /// Its limit of running tasks.
    pub running_max: Option<i32>,
    /// By scan type.
    pub rows: Vec<QueueRow>,
    /// Which limits said no to it, by their names.
    pub refusals: Vec<LimitRefusals>,
}

/// One tenant's own numbers.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn own(tx: &mut TenantTx) -> Result<Vec<QueueRow>, StoreError> {
    let pauses = pause::of_tenant(tx).await?;
    let tenant = tx.tenant();
    let mut rows = rows(tx.connection(), &[tenant]).await?;
    let mut rows = rows.remove(&tenant.into()).unwrap_or_default();
    hold_back(&mut rows, Some(tenant), &pauses);
    Ok(rows)
}

/// All pauses, the oldest first, without the tenants' names.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn all_pauses(tx: &mut ControlTx) -> Result<Vec<Pause>, StoreError> {
    let rows = sqlx::query_as!(
        Pause,
        r#"
        select tenant_id as "tenant?", null::text as tenant_name, scan_type, reason, paused_by as by, by_operator,
               paused_at as since
        from control.pause order by paused_at limit 1000
        "#
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}

/// The queue of all tenants together, by scan type.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn totals(tx: &mut ControlTx) -> Result<Vec<QueueRow>, StoreError> {
    let pauses = all_pauses(tx).await?;
    let lanes = sqlx::query!(
        r#"
        select l.scan_type, sum(l.waiting) as "waiting!", sum(l.scheduled) as "scheduled!",
               sum(l.running) as "running!", bool_or(l.waiting > 0 and l.blocked) as "at_limit!"
        from control.lane l group by 1 order by 1
        "#
    )
    .fetch_all(tx.connection())
    .await?;
    let mut oldest: HashMap<String, f64> = oldest_of_all(tx).await?;
    let mut pace = pace_of_all(tx).await?;
    let mut rows: Vec<QueueRow> = lanes
        .into_iter()
        .map(|lane| {
            let mut row = QueueRow {
                waiting: lane.waiting,
                scheduled: lane.scheduled,
                running: lane.running,
                oldest_wait_seconds: oldest.remove(&lane.scan_type),
                at_limit: lane.at_limit,
                ..QueueRow::default()
            };
            pace.remove(&lane.scan_type).unwrap_or_default().tell(&mut row);
            row.scan_type = lane.scan_type;
            row
        })
        .collect();
    hold_back(&mut rows, None, &pauses);
    Ok(rows)
}

/// Per scan type, of the lanes whose first ticket has the smallest rank.
async fn oldest_of_all(tx: &mut ControlTx) -> Result<HashMap<String, f64>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select c.scan_type as "scan_type!", extract(epoch from now() - min(t.run_at))::float8 as "seconds!"
        from (select distinct scan_type from control.lane_class) c
        cross join lateral (
            select l.tenant_id, l.class_id from control.lane l where l.scan_type = c.scan_type and l.waiting > 0
            order by l.head_rank limit 20) l
        cross join lateral (
            select t.run_at from control.ticket t
            where t.tenant_id = l.tenant_id and t.class_id = l.class_id and t.state = 0
            order by t.rank limit 5) t
        group by 1
        "#
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.scan_type, row.seconds.max(0.0)))
        .collect())
}

/// One page of tenants, by id, those too that have nothing in the queue.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn tenants(tx: &mut ControlTx, window: Window<TenantId>) -> Result<Page<TenantQueue>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"
        select id as "id!" from (
            (select id from control.tenant
             where ($1::uuid is null or id > $1) and ($2::uuid is null or id < $2) and not $4
             order by id limit $3)
            union all
            (select id from control.tenant
             where ($1::uuid is null or id > $1) and ($2::uuid is null or id < $2) and $4
             order by id desc limit $3)) t
        order by id
        "#,
        window.after.map(TenantId::uuid),
        window.before.map(TenantId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let ids = Page::between(ids, &window);
    Ok(Page {
        rows: tenant_queues(tx, &ids.rows).await?,
        has_next: ids.has_next,
        has_previous: ids.has_previous,
    })
}

/// The tenants with most waiting tickets, at most `limit`; then those with most running ones. None that has
/// nothing in the queue.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn busiest(tx: &mut ControlTx, limit: i64) -> Result<Vec<TenantQueue>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"
        select tenant_id from control.lane group by tenant_id having sum(waiting + scheduled + running) > 0
        order by sum(waiting) desc, sum(running) desc, tenant_id limit $1
        "#,
        limit
    )
    .fetch_all(tx.connection())
    .await?;
    tenant_queues(tx, &ids).await
}

/// In the order of `ids`.
async fn tenant_queues(tx: &mut ControlTx, ids: &[Uuid]) -> Result<Vec<TenantQueue>, StoreError> {
    let tenants = sqlx::query!(
        r#"
        select t.id, t.name, coalesce(s.weight, 1) as "weight!", s.running_max as "running_max?"
        from unnest($1::uuid[]) with ordinality x(id, n)
        join control.tenant t on t.id = x.id left join control.share s on s.tenant_id = t.id order by x.n
        "#,
        ids
    )
    .fetch_all(tx.connection())
    .await?;
    let pauses = all_pauses(tx).await?;
    let mut rows = rows(tx.connection(), ids).await?;
    let mut refusals = refusals_of(tx.connection(), ids).await?;
    let view = tenants.into_iter().map(|row| {
        let tenant = TenantId::from(row.id);
        let mut rows = rows.remove(&tenant).unwrap_or_default();
        hold_back(&mut rows, Some(row.id), &pauses);
        TenantQueue {
            tenant,
            name: row.name,
            weight: row.weight,
            running_max: row.running_max,
            rows,
            refusals: refusals.remove(&tenant).unwrap_or_default(),
        }
    });
    Ok(view.collect())
}

/// Rows by tenant and scan type. Served by the key of `lane`, `ticket_waiting_idx` and the key of `queue_pace`.
async fn rows(
    connection: &mut PgConnection,
    tenants: &[Uuid],
) -> Result<HashMap<TenantId, Vec<QueueRow>>, StoreError> {
    let lanes = sqlx::query!(
        r#"
        select l.tenant_id, l.scan_type, sum(l.waiting) as "waiting!", sum(l.scheduled) as "scheduled!",
               sum(l.running) as "running!", min((s.type_max ->> l.scan_type)::int) as running_max,
               bool_or(l.waiting > 0 and l.blocked) as "at_limit!",
               extract(epoch from now() - min(t.run_at))::float8 as oldest_wait_seconds
        from control.lane l
        left join control.share s on s.tenant_id = l.tenant_id
        left join lateral (
            select min(f.run_at) as run_at from (
                select k.run_at from control.ticket k
                where l.waiting > 0 and k.tenant_id = l.tenant_id and k.class_id = l.class_id and k.state = 0
                order by k.rank limit 10) f) t on true
        where l.tenant_id = any($1)
        group by 1, 2 order by 1, 2
        "#,
        tenants
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut pace = pace_of(connection, tenants).await?;
    let mut rows: HashMap<TenantId, Vec<QueueRow>> = HashMap::new();
    for lane in lanes {
        let tenant = TenantId::from(lane.tenant_id);
        let mut row = QueueRow {
            scan_type: lane.scan_type,
            waiting: lane.waiting,
            scheduled: lane.scheduled,
            running: lane.running,
            oldest_wait_seconds: lane.oldest_wait_seconds.map(|seconds| seconds.max(0.0)),
            running_max: lane.running_max,
            at_limit: lane.at_limit,
            ..QueueRow::default()
        };
        let pace = pace.remove(&(tenant, row.scan_type.clone()));
        pace.unwrap_or_default().tell(&mut row);
        rows.entry(tenant).or_default().push(row);
    }
    Ok(rows)
}

/// What was counted over the last minutes.
#[derive(Debug, Default)]
struct Lately {
    minutes: f64,
    claimed: i64,
    ended: i64,
    waits: Vec<i64>,
}

impl Lately {
    fn tell(&self, row: &mut QueueRow) {
        let per_minute = |count: i64| {
            if self.minutes > 0.0 {
                count as f64 / self.minutes
            } else {
                0.0
            }
        };
        row.claimed_per_minute = per_minute(self.claimed);
        row.ended_per_minute = per_minute(self.ended);
        row.claim_p50_seconds = quantile_seconds(&self.waits, 0.5);
        row.claim_p99_seconds = quantile_seconds(&self.waits, 0.99);
    }

    fn add(&mut self, minutes: f64, claimed: i64, ended: i64, waits: &[i64]) {
        self.minutes = minutes;
        self.claimed += claimed;
        self.ended += ended;
        self.waits.resize(self.waits.len().max(waits.len()), 0);
        for (there, more) in self.waits.iter_mut().zip(waits) {
            *there += more;
        }
    }
}

async fn pace_of(
    connection: &mut PgConnection,
    tenants: &[Uuid],
) -> Result<HashMap<(TenantId, String), Lately>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select tenant_id, scan_type, claimed, ended, waits,
               ($2::int + extract(second from now()) / 60)::float8 as "minutes!"
        from control.queue_pace
        where tenant_id = any($1) and minute >= date_trunc('minute', now()) - make_interval(mins => $2)
        "#,
        tenants,
        FULL_MINUTES
    )
    .fetch_all(connection)
    .await?;
    let mut pace: HashMap<(TenantId, String), Lately> = HashMap::new();
    for row in rows {
        let lately = pace.entry((row.tenant_id.into(), row.scan_type)).or_default();
        lately.add(row.minutes, row.claimed, row.ended, &row.waits);
    }
    Ok(pace)
}

async fn pace_of_all(tx: &mut ControlTx) -> Result<HashMap<String, Lately>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select scan_type, sum(claimed)::bigint as "claimed!", sum(ended)::bigint as "ended!",
               ($1::int + extract(second from now()) / 60)::float8 as "minutes!",
               array[sum(waits[1]), sum(waits[2]), sum(waits[3]), sum(waits[4]), sum(waits[5]), sum(waits[6]),
                     sum(waits[7]), sum(waits[8]), sum(waits[9]), sum(waits[10]), sum(waits[11]), sum(waits[12]),
                     sum(waits[13]), sum(waits[14]), sum(waits[15]), sum(waits[16]),
                     sum(waits[17])]::bigint[] as "waits!"
        from control.queue_pace
        where minute >= date_trunc('minute', now()) - make_interval(mins => $1)
        group by 1
        "#,
        FULL_MINUTES
    )
    .fetch_all(tx.connection())
    .await?;
    let mut pace: HashMap<String, Lately> = HashMap::new();
    for row in rows {
        let lately = pace.entry(row.scan_type).or_default();
        lately.add(row.minutes, row.claimed, row.ended, &row.waits);
    }
    Ok(pace)
}

/// Marks the rows that a pause of `tenant` (none: of everybody) covers.
fn hold_back(rows: &mut [QueueRow], tenant: Option<Uuid>, pauses: &[Pause]) {
    for row in rows {
        row.paused = pauses.iter().any(|pause| {
            let its = pause.tenant.is_none() || (tenant.is_some() && pause.tenant == tenant);
            let type_ = pause.scan_type.as_ref();
            its && type_.is_none_or(|scan_type| *scan_type == row.scan_type)
        });
    }
}
