//! What people decide about alerts: read, changed and written back, many at once.
//!
//! Every decision goes the same way: the alerts' [`Standing`] is read, [`Decision::on`] says what it becomes, and
//! [`write()`] stores what differs with an event each and moves the counters. A decision that changes nothing writes
//! nothing. The project is held all the while, so no merge comes between.

mod decision;
mod write;

pub use decision::{Change, Decision, Moment};
pub use write::write;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use tamiz_core::{AlertId, AlertState, Dismissal, ProjectId, Severity};
use uuid::Uuid;

use super::due;
use crate::error::{StoreError, ranked, word};
use crate::tenant_tx::TenantTx;

/// Alerts that one request may name: its transaction takes some tens of milliseconds.
pub const ALERTS_MAX: usize = 1_000;
/// Alerts that one request may decide on by a filter: its transaction takes a second or two, as an import does, and as
/// many statements as with one alert.
pub const MATCHED_MAX: usize = 10_000;

/// As far as decisions are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: AlertId,
    /// What it shows.
    pub content: Uuid,
    /// Where it stands.
    pub state: AlertState,
    /// What counts.
    pub severity: Severity,
    /// The tool's.
    pub tool_severity: Severity,
    /// A person's.
    pub severity_override: Option<Severity>,
    /// Whether a scope holds it.
    pub is_present: bool,
    /// The decision not to act.
    pub dismissal: Option<Dismissal>,
    /// Who shall act.
    pub assignee: Option<String>,
    /// Until which day.
    pub due_on: Option<NaiveDate>,
}

/// The projects of these alerts; unknown ids are left out. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn projects_of(
    tx: &mut TenantTx,
    alerts: &[AlertId],
) -> Result<Vec<(AlertId, ProjectId)>, StoreError> {
    let ids: Vec<Uuid> = alerts.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        "select id, project_id from tenant.alert where tenant_id = $1 and id = any($2)",
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), row.project_id.into()))
        .collect())
}

/// How these alerts of the project stand, and the moment at which `actor` decides on them: what time it is in the
/// database and what the project promises. The project is held.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn read<'a>(
    tx: &mut TenantTx,
    project: ProjectId,
    alerts: &BTreeSet<AlertId>,
    actor: &'a str,
) -> Result<(Vec<Standing>, Moment<'a>), StoreError> {
    let ids: Vec<Uuid> = alerts.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select id, content_id, state, severity, tool_severity, severity_override, last_seen_at is null as "is_present!",
               dismissed_reason, dismissed_comment, dismissed_by, dismissed_at, dismissed_until, assignee, due_on
        from tenant.alert where tenant_id = $1 and project_id = $2 and id = any($3)
        "#,
        tx.tenant(),
        project.uuid(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    let rank = |rank: i16| ranked("severity", rank, Severity::from_rank);
    let read = rows.into_iter().map(|row| {
        let (state, severity) = super::standing_of(row.state, row.severity)?;
        let reason = row.dismissed_reason.as_deref();
        let reason = reason.map(|reason| word("reason of a dismissal", reason));
        let dismissal = reason.transpose()?.map(|reason| Dismissal {
            reason,
            comment: row.dismissed_comment,
            by: row.dismissed_by.unwrap_or_default(),
            at: row.dismissed_at.unwrap_or_default(),
            until: row.dismissed_until,
        });
        Ok(Standing {
            id: row.id.into(),
            content: row.content_id,
            state,
            severity,
            tool_severity: rank(row.tool_severity)?,
            severity_override: row.severity_override.map(rank).transpose()?,
            is_present: row.is_present,
            dismissal,
            assignee: row.assignee,
            due_on: row.due_on,
        })
    });
    let standings = read.collect::<Result<_, StoreError>>()?;
    let moment = Moment {
        actor,
        at: now(tx).await?,
        sla: due::promised(tx, project).await?,
    };
    Ok((standings, moment))
}

/// When the transaction began: the time that its events bear.
async fn now(tx: &mut TenantTx) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(r#"select now() as "now!""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(now)
}
