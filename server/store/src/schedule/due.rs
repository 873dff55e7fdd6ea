//! Which schedules are due, over all tenants.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::ScheduleId;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

/// Nobody looked for longer than this: the platform was down. A restart takes less.
pub const LATE_MAX: Duration = Duration::from_secs(90);
/// A look is noted again after so long, however many processes look.
const NOTED_EVERY: Duration = Duration::from_secs(5);

/// A due schedule that is this process's for a while.
#[derive(Debug, Clone, Copy)]
pub struct DueSchedule {
    /// The right to its tenant's rows.
    pub scope: TenantScope,
    /// Which.
    pub id: ScheduleId,
    /// When it was due: names the turn.
    pub due_at: DateTime<Utc>,
    /// What the database's clock said.
    pub now: DateTime<Utc>,
    /// Since then somebody has looked, without a pause of [`LATE_MAX`].
    pub watched_since: DateTime<Utc>,
}

impl Store {
    /// Takes up to `limit` schedules that are due, at most `of_one_tenant` of each tenant and of these the longest
    /// due. Whoever takes them has `hold` to make their tasks; then somebody else may.
    ///
    /// Served by `schedule_due_idx`; locked rows are skipped.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn due_schedules(
        &self,
        limit: u32,
        of_one_tenant: u32,
        hold: Duration,
    ) -> Result<Vec<DueSchedule>, StoreError> {
        self.note_look().await?;
        let rows = sqlx::query!(
            r#"
            with ranked as (
                select tenant_id, id, row_number() over (partition by tenant_id order by due_at, id) as place
                from control.schedule
                where paused_at is null and due_at <= now() and (firing_until is null or firing_until < now())),
            due as (
                select s.tenant_id, s.id from control.schedule s join ranked r using (tenant_id, id)
                where r.place <= $3 and s.paused_at is null and s.due_at <= now()
                  and (s.firing_until is null or s.firing_until < now())
                order by r.place, s.due_at limit $1 for update of s skip locked)
            update control.schedule s set firing_until = now() + make_interval(secs => $2)
            from due where s.tenant_id = due.tenant_id and s.id = due.id
            returning s.tenant_id, s.id, s.due_at as "due_at!", now() as "now!",
                      (select since from control.schedule_sweep) as "watched_since!"
            "#,
            i64::from(limit),
            hold.as_secs_f64(),
            i64::from(of_one_tenant)
        )
        .fetch_all(&self.dispatch)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| DueSchedule {
                scope: TenantScope::of(row.tenant_id.into()),
                id: row.id.into(),
                due_at: row.due_at,
                now: row.now,
                watched_since: row.watched_since,
            })
            .collect())
    }

    /// Notes that somebody looks now, and that nobody did if the last look was too long ago.
    async fn note_look(&self) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            update control.schedule_sweep
            set since = case when swept_at < now() - make_interval(secs => $1) then now() else since end,
                swept_at = now()
            where swept_at < now() - make_interval(secs => $2)
            "#,
            LATE_MAX.as_secs_f64(),
            NOTED_EVERY.as_secs_f64()
        )
        .execute(&self.dispatch)
        .await?;
        Ok(())
    }
}
