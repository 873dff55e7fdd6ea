//! The places of alerts, scope by scope.
//!
//! Findings of an alert are not listed: the key from a finding to its alert has no index, because it would cost each
//! import as much as the key of findings itself, and a month's sightings say what the places say. From a finding to its
//! alert there is a way, and from a scope to the task that saw it last.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, Postgres, QueryBuilder};
use tamiz_core::{AlertId, Location};
use uuid::Uuid;

use super::read::{AlertScope, SCOPE_COLUMNS};
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// A place of an alert in a scope.
#[derive(Debug, Clone, FromRow)]
pub struct AlertOccurrenceRow {
    /// Of which alert.
    pub alert_id: Uuid,
    /// What tells it from other places of the scope.
    pub place: Uuid,
    /// Its line; 0 where there is none.
    pub line: i32,
    /// When it was seen first.
    pub first_seen_at: DateTime<Utc>,
    /// When it was seen last.
    pub last_seen: DateTime<Utc>,
    /// Whether the scope holds it.
    pub is_present: bool,
    /// Which scope.
    #[sqlx(flatten)]
    pub scope: AlertScope,
    /// The primary place in one word.
    pub location_label: Option<String>,
    /// All places of its newest sighting.
    pub locations: sqlx::types::Json<Vec<Location>>,
}

/// The same page of each alert's places, in the order of their keys; an alert without places is left out. A place
/// in the list is the scope and place of a row. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn occurrence_pages_of(
    tx: &mut TenantTx,
    alerts: &[AlertId],
    window: Window<(Uuid, Uuid)>,
) -> Result<HashMap<AlertId, Page<AlertOccurrenceRow>>, StoreError> {
    let tenant = tx.tenant();
    let alerts: Vec<Uuid> = alerts.iter().map(|id| id.uuid()).collect();
    let mut query = QueryBuilder::<Postgres>::new(
        "select o.alert_id, o.place, o.line, o.first_seen_at, coalesce(o.last_seen_at, s.scanned_at) as last_seen, \
         o.last_seen_at is null as is_present, c.location_label, c.locations, ",
    );
    query.push(SCOPE_COLUMNS).push(" from unnest(").push_bind(alerts);
    query.push(
        "::uuid[]) x(id) cross join lateral (select a.project_id, o.* from tenant.alert a join tenant.alert_occurrence o \
         on o.tenant_id = a.tenant_id and o.alert_id = a.id where a.tenant_id = ",
    );
    query
        .push_bind(tenant)
        .push(" and a.id = x.id and o.tenant_id = ");
    query.push_bind(tenant);
    for (sign, at) in [(">", window.after), ("<", window.before)] {
        if let Some((scope, place)) = at {
            query.push(" and (o.scope_id, o.place) ").push(sign);
            query
                .push(" (")
                .push_bind(scope)
                .push(", ")
                .push_bind(place)
                .push(")");
        }
    }
    query
        .push(if window.from_end {
            " order by o.scope_id desc, o.place desc limit "
        } else {
            " order by o.scope_id, o.place limit "
        })
        .push_bind(window.limit.probe());
    query.push(
        ") o join tenant.scan_scope s on s.tenant_id = o.tenant_id and s.id = o.scope_id \
         join tenant.finding_content c on c.tenant_id = o.tenant_id and c.project_id = o.project_id \
         and c.id = o.content_id order by o.scope_id, o.place",
    );
    let allowance = tx.allowance();
    let rows = query
        .build_query_as::<AlertOccurrenceRow>()
        .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_alert_occurrence).await?;
    let rows = rows.into_iter().map(|row| (AlertId::from(row.alert_id), row));
    Ok(Page::between_each(rows, &window))
}

/// How many places each of these alerts has; one without any is left out. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn occurrence_counts_of(
    tx: &mut TenantTx,
    alerts: &[AlertId],
) -> Result<HashMap<AlertId, i64>, StoreError> {
    let alerts: Vec<Uuid> = alerts.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select alert_id, count(*) as "count!" from tenant.alert_occurrence
        where tenant_id = $1 and alert_id = any($2) group by alert_id
        "#,
        tx.tenant(),
        &alerts
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.alert_id.into(), row.count))
        .collect())
}
