//! The queue from the workers' side: claim, renew, expire. Sees tickets of all tenants, no rows
//! of theirs.
//!
//! A lease is the right to work on one ticket until it runs out. Losing it is normal (a slow worker,
//! a restart), so every write of a result carries the attempt number that the claim gave, and a
//! stale attempt is refused (see [`crate::attempt`]).
//!
//! Who is next is decided by the functions of `migrations/control/0005_queue.sql`: the tenant that had least
//! of its weight's share, among those that are ready and under their limits; of that tenant the best ticket by
//! priority, then age. The cost of a claim depends on its slots and on the classes of tickets that the
//! worker serves, not on how many tickets or tenants wait.

mod bulk;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tamiz_core::{ScanType, TaskId, TenantId, WorkerId};
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

pub use bulk::NewTickets;

/// Claims that find nothing but lanes at their limits, and mark them, are repeated so often at once.
const CLAIM_ROUNDS_MAX: usize = 16;
/// Tickets that one sweep moves: a short transaction; the next sweep takes the rest.
const SWEEP_TICKETS_MAX: i32 = 1_000;

/// A claimed ticket.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The right to the rows of the task's tenant.
    pub scope: TenantScope,
    /// What to work on.
    pub task: TaskId,
    /// The fencing token.
    pub attempt: i32,
    /// Which plugin serves it.
    pub scan_type: ScanType,
    /// When it was ready to be claimed.
    pub run_at: DateTime<Utc>,
}

/// What a worker can take.
#[derive(Debug, Clone)]
pub struct ClaimRequest<'a> {
    /// Who asks.
    pub worker: WorkerId,
    /// What it serves; none is every type.
    pub scan_types: &'a [String],
    /// What it can run; a ticket that names tools goes to a worker that has at least one of them.
    pub tools: &'a [String],
    /// The versions of the plugin contract that it runs, such as `1.0`; a ticket goes to a worker that runs all
    /// that its plugins want.
    pub worlds: &'a [String],
    /// How many it has room for.
    pub slots: u32,
    /// How long the lease shall be.
    pub lease: Duration,
}

/// Names one claim. Task ids are unique in their tenant only, for clients may choose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Of which tenant.
    pub tenant: TenantId,
    /// Of which task.
    pub task: TaskId,
    /// The fencing token.
    pub attempt: i32,
}

impl Lease {
    /// Its name.
    pub const fn claim(&self) -> Claim {
        Claim {
            tenant: self.scope.tenant_id(),
            task: self.task,
            attempt: self.attempt,
        }
    }
}

/// A lease that is still held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Whose.
    pub claim: Claim,
    /// Somebody wants it to stop.
    pub cancel_requested: bool,
}

/// A counter that is not the count of its tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Whose.
    pub tenant: TenantId,
    /// Of these tickets.
    pub scan_type: String,
    /// `waiting`, `scheduled`, `running`, or `head`, the smallest rank that waits.
    pub what: String,
    /// What the counter says; none when there is no counter.
    pub counted: Option<i64>,
    /// What the tickets say.
    pub actual: Option<i64>,
}

impl Store {
    /// Claims up to `slots` ready tickets that the worker can serve, fairly between tenants and within their
    /// limits.
    ///
    /// The claim itself may be lost by a crash of the database, for its commit is not waited for; the
    /// ticket then waits again. Beginning the attempt is durable, and fences by attempt and worker.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Vec<Lease>, StoreError> {
        for round in 0..CLAIM_ROUNDS_MAX {
            // every other time it waits for whoever is at the lanes
            let (leases, again) = self.claim_once(request, round % 2 == 1).await?;
            if !again || !leases.is_empty() {
                return Ok(leases);
            }
        }
        Ok(Vec::new())
    }

    /// And whether lanes were found that a limit holds back, so that others are first in line now.
    async fn claim_once(
        &self,
        request: &ClaimRequest<'_>,
        patiently: bool,
    ) -> Result<(Vec<Lease>, bool), StoreError> {
        let rows = sqlx::query!(
            r#"
            select r_tenant, r_task, r_attempt, r_scan_type, r_ready_at,
                   extract(epoch from clock_timestamp() - r_ready_at)::float8 as waited_seconds
            from control.queue_claim($1, $2, $3, $4, $5, make_interval(secs => $6), $7)
            "#,
            request.worker.uuid(),
            request.scan_types,
            request.tools,
            request.worlds,
            request.slots.cast_signed(),
            request.lease.as_secs_f64(),
            patiently
        )
        .fetch_all(&self.claims)
        .await?;
        let (mut leases, mut again) = (Vec::with_capacity(rows.len()), false);
        for row in rows {
            let (Some(tenant), Some(task), Some(attempt), Some(scan_type), Some(run_at)) = (
                row.r_tenant,
                row.r_task,
                row.r_attempt,
                row.r_scan_type,
                row.r_ready_at,
            ) else {
                again = true;
                continue;
            };
            let waited = Duration::try_from_secs_f64(row.waited_seconds.unwrap_or_default());
            self.pace
                .claimed(tenant.into(), &scan_type, waited.unwrap_or_default());
            leases.push(Lease {
                scope: TenantScope::of(TenantId::from(tenant)),
                task: task.into(),
                attempt,
                scan_type: ScanType::parse(&scan_type)
                    .map_err(|_| StoreError::unreadable("ticket type", &scan_type))?,
                run_at,
            });
        }
        Ok((leases, again))
    }

    /// Renews leases. What is missing in the answer is lost: stop working on it.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked; the leases then run on.
    pub async fn renew(
        &self,
        worker: WorkerId,
        held: &[Claim],
        lease: Duration,
    ) -> Result<Vec<Held>, StoreError> {
        let tenants: Vec<Uuid> = held.iter().map(|claim| claim.tenant.uuid()).collect();
        let tasks: Vec<Uuid> = held.iter().map(|claim| claim.task.uuid()).collect();
        let attempts: Vec<i32> = held.iter().map(|claim| claim.attempt).collect();
        let rows = sqlx::query!(
            r#"
            select r_tenant as "tenant!", r_task as "task!", r_attempt as "attempt!",
                   r_cancel_requested as "cancel_requested!"
            from control.queue_renew($1, $2, $3, $4, make_interval(secs => $5))
            "#,
            worker.uuid(),
            &tenants,
            &tasks,
            &attempts,
            lease.as_secs_f64()
        )
        .fetch_all(&self.dispatch)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Held {
                claim: Claim {
                    tenant: row.tenant.into(),
                    task: row.task.into(),
                    attempt: row.attempt,
                },
                cancel_requested: row.cancel_requested,
            })
            .collect())
    }

    /// Returns tickets whose lease ran out to the queue; answers how many.
    ///
    /// Served by `ticket_lease_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn expire_leases(&self) -> Result<u64, StoreError> {
        let expired = sqlx::query_scalar!(
            r#"select control.queue_expire($1) as "count!""#,
            SWEEP_TICKETS_MAX
        )
        .fetch_one(&self.dispatch)
        .await?;
        Ok(self.now_waiting(expired))
    }

    /// Lets tickets wait whose time has come; answers how many.
    ///
    /// Served by `ticket_due_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn promote_due(&self) -> Result<u64, StoreError> {
        let promoted = sqlx::query_scalar!(
            r#"select control.queue_promote($1) as "count!""#,
            SWEEP_TICKETS_MAX
        )
        .fetch_one(&self.dispatch)
        .await?;
        Ok(self.now_waiting(promoted))
    }

    /// Puts lanes right that a crash or a race left behind, and opens those whose limit has room again;
    /// answers how many. Any process may do it at any time.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn tick_queue(&self) -> Result<u64, StoreError> {
        let moved = sqlx::query_scalar!(r#"select control.queue_tick() as "count!""#)
            .fetch_one(&self.dispatch)
            .await?;
        Ok(self.now_waiting(moved))
    }

    /// Forgets starts that no sliding day counts any more, at most some thousand rows; answers how many.
    ///
    /// Served by `start_count_bucket_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn forget_starts(&self) -> Result<u64, StoreError> {
        let gone = sqlx::query!(
            "delete from control.start_count where (tenant_id, bucket) in (
                 select tenant_id, bucket from control.start_count
                 where bucket < now() - interval '2 days' limit 5000 for update skip locked)"
        )
        .execute(&self.dispatch)
        .await?;
        Ok(gone.rows_affected())
    }

    fn now_waiting(&self, count: i32) -> u64 {
        let count = count.unsigned_abs();
        self.signals.tickets(None, count);
        u64::from(count)
    }

    /// Where the queue's counters are not the counts of its tickets: nowhere, unless somebody changed rows by
    /// hand. With `repair` they are counted anew. Reads every ticket.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn queue_check(&self, repair: bool) -> Result<Vec<Drift>, StoreError> {
        let rows = sqlx::query!(
            r#"
            select r_tenant as "tenant!", r_scan_type as "scan_type!", r_what as "what!", r_counted, r_actual
            from control.queue_drift($1)
            "#,
            repair
        )
        .fetch_all(&self.dispatch)
        .await?;
        if repair && !rows.is_empty() {
            self.signals.tickets(None, 1);
        }
        Ok(rows
            .into_iter()
            .map(|row| Drift {
                tenant: row.tenant.into(),
                scan_type: row.scan_type,
                what: row.what,
                counted: row.r_counted,
                actual: row.r_actual,
            })
            .collect())
    }
}
