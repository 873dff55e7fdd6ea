//! The queue from the workers' side: claim, renew, expire. Sees tickets of all tenants, no rows
//! of theirs.
//!
//! A lease is the right to work on one ticket until it runs out. Losing it is normal (a slow worker,
//! a restart), so every write of a result carries the attempt number that the claim gave, and a
//! stale attempt is refused (see [`crate::attempt`]).
//!
//! First form: strictly by priority, then age. Fair shares between tenants will come behind
//! [`Store::claim`] without changing what it answers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::{ScanType, TaskId, TenantId, WorkerId};
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;
use crate::signal::Signal;

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
    /// What it can run; a ticket that names tools goes to a worker that has at least one of them.
    pub tools: &'a [String],
    /// How many it has room for.
    pub slots: u32,
    /// How long the lease shall be.
    pub lease: Duration,
}

/// Names one claim. Task ids are unique in their tenant only, for clients may choose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl Store {
    /// Claims up to `slots` ready tickets that the worker can serve, best first. Every worker can have every
    /// plugin, so only tools matter.
    ///
    /// Served by `ticket_waiting_idx`; locked rows are skipped, so claims never wait for each other.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Vec<Lease>, StoreError> {
        let rows = sqlx::query!(
            r#"
            with picked as (
                select tenant_id, task_id from control.ticket
                where state = 0 and run_at <= now() and (tools = '{}' or tools && $4)
                order by priority desc, enqueued_at, task_id limit $2 for update skip locked)
            update control.ticket t
            set state = 1, attempt = t.attempt + 1, worker_id = $1,
                lease_until = now() + make_interval(secs => $3)
            from picked where t.tenant_id = picked.tenant_id and t.task_id = picked.task_id
            returning t.task_id, t.tenant_id, t.attempt, t.scan_type, t.run_at
            "#,
            request.worker.uuid(),
            i64::from(request.slots),
            request.lease.as_secs_f64(),
            request.tools
        )
        .fetch_all(&self.dispatch)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Lease {
                    scope: TenantScope::of(TenantId::from(row.tenant_id)),
                    task: row.task_id.into(),
                    attempt: row.attempt,
                    scan_type: ScanType::parse(&row.scan_type)
                        .map_err(|_| StoreError::unreadable("ticket type", &row.scan_type))?,
                    run_at: row.run_at,
                })
            })
            .collect()
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
            update control.ticket t set lease_until = now() + make_interval(secs => $4)
            from unnest($2::uuid[], $3::int[], $5::uuid[]) h(task_id, attempt, tenant_id)
            where t.tenant_id = h.tenant_id and t.task_id = h.task_id and t.attempt = h.attempt
                and t.worker_id = $1 and t.state + 0 = 1
            returning t.tenant_id, t.task_id, t.attempt, t.cancel_requested
            "#,
            worker.uuid(),
            &tasks,
            &attempts,
            lease.as_secs_f64(),
            &tenants
        )
        .fetch_all(&self.dispatch)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Held {
                claim: Claim {
                    tenant: row.tenant_id.into(),
                    task: row.task_id.into(),
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
        let expired = sqlx::query!(
            r#"
            with late as (
                select tenant_id, task_id from control.ticket where state = 1 and lease_until < now()
                order by lease_until limit 1000 for update skip locked)
            update control.ticket t set state = 0, worker_id = null, lease_until = null
            from late where t.tenant_id = late.tenant_id and t.task_id = late.task_id
            "#
        )
        .execute(&self.dispatch)
        .await?
        .rows_affected();
        if expired > 0 {
            self.signals.send(Signal::Tickets);
        }
        Ok(expired)
    }

    /// Tickets waiting and leased, for the metrics.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn queue_depth(&self) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query!(
            r#"select count(*) filter (where state = 0) as "waiting!", count(*) filter (where state = 1) as "leased!"
               from control.ticket"#
        )
        .fetch_one(&self.dispatch)
        .await?;
        Ok((row.waiting, row.leased))
    }
}
