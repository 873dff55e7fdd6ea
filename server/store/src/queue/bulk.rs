//! Many tickets at a time, without tasks, and how many there are.
//!
//! A real task makes and ends its ticket in its tenant's own transaction (see [`crate::task`] and
//! [`crate::attempt`]), so that the two never disagree. These are for tickets that have no task: benchmarks
//! and the tests of the queue itself. What operators and tenants see is [`crate::queue_view`].

use chrono::{DateTime, Utc};
use tamiz_core::{ScanType, TaskId, TenantId};
use uuid::Uuid;

use super::Claim;
use crate::connect::Store;
use crate::error::StoreError;
use crate::signal::News;
use crate::ticket::class_words;

/// Tickets that are alike.
#[derive(Debug, Clone, Copy)]
pub struct NewTickets<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Which plugin would serve them.
    pub scan_type: &'a ScanType,
    /// A worker has at least one of them; none is no demand.
    pub tools: &'a [String],
    /// A worker runs all of them.
    pub worlds: &'a [String],
    /// A larger one overtakes by a minute each.
    pub priority: i16,
    /// Not before; at once when none.
    pub run_at: Option<DateTime<Utc>>,
    /// Their names; those that have a ticket already change nothing.
    pub tasks: &'a [TaskId],
}

impl Store {
    /// Makes tickets without tasks; answers how many are new.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take them.
    pub async fn enqueue_tickets(&self, new: &NewTickets<'_>) -> Result<u64, StoreError> {
        let tasks: Vec<Uuid> = new.tasks.iter().map(|task| task.uuid()).collect();
        let row = sqlx::query!(
            r#"
            with c as materialized (select control.class_of($2, $3, $4) as class)
            select c.class as "class!", control.queue_enqueue($1, c.class, $5::uuid[],
                       array_fill($6::smallint, array[cardinality($5::uuid[])]), array_fill(0, array[cardinality($5::uuid[])]),
                       array_fill($7::timestamptz, array[cardinality($5::uuid[])])) as "made!"
            from c
            "#,
            new.tenant.uuid(),
            new.scan_type.as_str(),
            &class_words(new.tools),
            &class_words(new.worlds),
            &tasks,
            new.priority,
            new.run_at
        )
        .fetch_one(&self.dispatch)
        .await?;
        let made = row.made.unsigned_abs();
        self.signals.tickets(Some(row.class), made);
        Ok(u64::from(made))
    }

    /// Ends tickets without tasks; answers those that were still held. A stale attempt is not among them and
    /// changes nothing. Waits for the disk when the database's settings say so.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked; then none has ended.
    pub async fn finish_tickets(&self, done: &[Claim]) -> Result<Vec<Claim>, StoreError> {
        let tenants: Vec<Uuid> = done.iter().map(|claim| claim.tenant.uuid()).collect();
        let tasks: Vec<Uuid> = done.iter().map(|claim| claim.task.uuid()).collect();
        let attempts: Vec<i32> = done.iter().map(|claim| claim.attempt).collect();
        let rows = sqlx::query!(
            r#"
            select r_tenant as "tenant!", r_task as "task!", r_attempt as "attempt!",
                   r_opened
            from control.queue_remove($1, $2, $3)
            "#,
            &tenants,
            &tasks,
            &attempts
        )
        .fetch_all(&self.dispatch)
        .await?;
        for class in rows.iter().filter_map(|row| row.r_opened.as_ref()).flatten() {
            self.signals.tell(News::Opened { class: *class });
        }
        Ok(rows
            .into_iter()
            .map(|row| Claim {
                tenant: row.tenant.into(),
                task: row.task.into(),
                attempt: row.attempt,
            })
            .collect())
    }

    /// Tickets waiting and leased, of all tenants; from the lanes' counters.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn queue_depth(&self) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query!(
            r#"select coalesce(sum(waiting + scheduled), 0) as "waiting!", coalesce(sum(running), 0) as "leased!"
               from control.lane"#
        )
        .fetch_one(&self.dispatch)
        .await?;
        Ok((row.waiting, row.leased))
    }
}
