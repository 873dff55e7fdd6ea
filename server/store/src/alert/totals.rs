//! How many alerts projects have, and what happened to them day by day: read from what [`super::count`] keeps.

use chrono::NaiveDate;
use tamiz_core::{AlertState, ProjectId, Severity};
use uuid::Uuid;

use crate::error::{StoreError, ranked};
use crate::tenant_tx::TenantTx;

/// Days of one answer.
pub const TREND_DAYS_MAX: u16 = 366;

/// What happened to a project's alerts of one severity on one day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertDay {
    /// The day.
    pub day: NaiveDate,
    /// Of which severity.
    pub severity: Severity,
    /// Alerts that nobody knew.
    pub opened: i32,
    /// Gone.
    pub fixed: i32,
    /// There again, or their acceptance expired.
    pub reopened: i32,
    /// Decided not to act on.
    pub dismissed: i32,
}

/// Alerts of these projects by state and severity, none of them zero; at most 20 rows each. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts(
    tx: &mut TenantTx,
    projects: &[ProjectId],
) -> Result<Vec<(ProjectId, AlertState, Severity, i32)>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select project_id, state, severity, alerts from tenant.alert_count
        where tenant_id = $1 and project_id = any($2) and alerts > 0 order by state, severity desc
        "#,
        tx.tenant(),
        &projects
    )
    .fetch_all(tx.connection())
    .await?;
    let read = rows.into_iter().map(|row| {
        let (state, severity) = super::standing_of(row.state, row.severity)?;
        Ok((row.project_id.into(), state, severity, row.alerts))
    });
    read.collect()
}

/// The last `days` days of these projects, today among them, the oldest first; days and severities without changes are
/// left out. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn trend(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    days: u16,
) -> Result<Vec<(ProjectId, AlertDay)>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select project_id, day, severity, opened, fixed, reopened, dismissed from tenant.alert_day
        where tenant_id = $1 and project_id = any($2) and day > (now() at time zone 'UTC')::date - $3::int
        order by day, severity desc
        "#,
        tx.tenant(),
        &projects,
        i32::from(days)
    )
    .fetch_all(tx.connection())
    .await?;
    let read = rows.into_iter().map(|row| {
        let day = AlertDay {
            day: row.day,
            severity: ranked("severity", row.severity, Severity::from_rank)?,
            opened: row.opened,
            fixed: row.fixed,
            reopened: row.reopened,
            dismissed: row.dismissed,
        };
        Ok((row.project_id.into(), day))
    });
    read.collect()
}

/// Alerts of all projects of the tenant by state and severity, none of them zero; at most 20 rows, made of at most 20 of
/// each project. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts_of_tenant(tx: &mut TenantTx) -> Result<Vec<(AlertState, Severity, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select state, severity, sum(alerts)::bigint as "alerts!" from tenant.alert_count
        where tenant_id = $1 and alerts > 0 group by state, severity order by state, severity desc
        "#,
        tx.tenant()
    )
    .fetch_all(tx.connection())
    .await?;
    let read = rows.into_iter().map(|row| {
        let (state, severity) = super::standing_of(row.state, row.severity)?;
        Ok((state, severity, row.alerts))
    });
    read.collect()
}

/// What happened to a tenant's alerts of one severity on one day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantAlertDay {
    /// The day.
    pub day: NaiveDate,
    /// Of which severity.
    pub severity: Severity,
    /// Alerts that nobody knew.
    pub opened: i64,
    /// Gone.
    pub fixed: i64,
    /// There again, or their acceptance expired.
    pub reopened: i64,
    /// Decided not to act on.
    pub dismissed: i64,
}

/// The last `days` days of all projects of the tenant, as [`trend`] has them of each.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn trend_of_tenant(tx: &mut TenantTx, days: u16) -> Result<Vec<TenantAlertDay>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select day, severity, sum(opened) as "opened!", sum(fixed) as "fixed!", sum(reopened) as "reopened!",
               sum(dismissed) as "dismissed!"
        from tenant.alert_day
        where tenant_id = $1 and day > (now() at time zone 'UTC')::date - $2::int
        group by day, severity order by day, severity desc
        "#,
        tx.tenant(),
        i32::from(days)
    )
    .fetch_all(tx.connection())
    .await?;
    let read = rows.into_iter().map(|row| {
        Ok(TenantAlertDay {
            day: row.day,
            severity: ranked("severity", row.severity, Severity::from_rank)?,
            opened: row.opened,
            fixed: row.fixed,
            reopened: row.reopened,
            dismissed: row.dismissed,
        })
    });
    read.collect()
}
