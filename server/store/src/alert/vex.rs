//! What the import of VEX reads of a project's alerts: those about packages, and what was decided on them and when.
//! What it decides is written as any decision is ([`super::triage`]).

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use tamiz_core::{AlertId, AlertState, Finding, ProjectId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::finding::contents;
use crate::tenant_tx::TenantTx;

/// Who the events say it was.
pub const ACTOR: &str = "vex";
/// Alerts about packages that one import looks at: 32 MB of ids.
pub const ALERTS_MAX: usize = 1_000_000;
/// Alerts whose contents are read together.
pub const ALERTS_AT_ONCE: usize = 500;

/// An alert about a package, and the id of what it says.
pub type PackageAlert = (AlertId, Uuid);

/// Those that a statement can decide on.
pub const DECIDABLE: &[AlertState] = &[AlertState::Open, AlertState::Reopened, AlertState::Dismissed];
/// Those that are fixed.
pub const FIXED: &[AlertState] = &[AlertState::Fixed];

/// The project's alerts about packages in one of these states, in the order of their ids.
///
/// Served by `alert_present_idx` and `alert_gone_idx`, alert by alert: a second for a million.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn package_alerts(
    tx: &mut TenantTx,
    project: ProjectId,
    states: &[AlertState],
) -> Result<Vec<PackageAlert>, StoreError> {
    let numbers: Vec<i16> = states.iter().copied().map(AlertState::rank).collect();
    let rows = sqlx::query!(
        r#"
        select id, content_id from tenant.alert
        where tenant_id = $1 and project_id = $2 and state = any($3) and kind = 'package'
        order by id limit $4
        "#,
        tx.tenant(),
        project.uuid(),
        &numbers,
        i64::try_from(ALERTS_MAX).unwrap_or(i64::MAX)
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), row.content_id))
        .collect())
}

/// What these alerts say, at most [`ALERTS_AT_ONCE`], by the ids of their contents.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn findings(
    tx: &mut TenantTx,
    project: ProjectId,
    alerts: &[PackageAlert],
) -> Result<HashMap<Uuid, Finding>, StoreError> {
    let ids: Vec<Uuid> = alerts.iter().map(|(_, content)| *content).collect();
    contents(tx, project, &ids, None).await
}

/// When a person last dismissed or reopened each of these alerts. Served by the events' primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn decided_at(
    tx: &mut TenantTx,
    alerts: &[AlertId],
) -> Result<HashMap<AlertId, DateTime<Utc>>, StoreError> {
    let ids: Vec<Uuid> = alerts.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select x.id as "id!", e.at as "at!" from unnest($2::uuid[]) x(id)
        cross join lateral (
            select max(e.created_at) as at from tenant.alert_event e
            where e.tenant_id = $1 and e.alert_id = x.id and e.kind in ('dismissed', 'reopened')
              and e.actor is not null and e.rule_id is null and e.actor <> all($3)) e
        where e.at is not null
        "#,
        tx.tenant(),
        &ids,
        &[super::expiry::ACTOR.to_owned(), ACTOR.to_owned()]
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.at)).collect())
}

/// The alerts of which an event says exactly this already. Served by the events' primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn said_already(
    tx: &mut TenantTx,
    comments: &[(AlertId, String)],
) -> Result<HashSet<AlertId>, StoreError> {
    let ids: Vec<Uuid> = comments.iter().map(|(id, _)| id.uuid()).collect();
    let texts: Vec<&str> = comments.iter().map(|(_, text)| text.as_str()).collect();
    let rows = sqlx::query_scalar!(
        r#"
        select x.id as "id!" from unnest($2::uuid[], $3::text[]) x(id, comment)
        cross join lateral (
            select from tenant.alert_event e
            where e.tenant_id = $1 and e.alert_id = x.id and e.comment = x.comment limit 1) e
        "#,
        tx.tenant(),
        &ids,
        &texts as &[&str]
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(AlertId::from).collect())
}
