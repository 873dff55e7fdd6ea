//! What happened to alerts: one row per change, by a task or a person.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, Postgres, QueryBuilder};
use tamiz_core::AlertId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// A change of an alert.
#[derive(Debug, Clone, FromRow)]
pub struct AlertEventRow {
    /// Of which alert.
    pub alert_id: Uuid,
    /// Its id.
    pub id: Uuid,
    /// opened, fixed, reopened, dismissed, moved, severity, assigned, commented, due.
    pub kind: String,
    /// The task that did it.
    pub task_id: Option<Uuid>,
    /// The person, rule or platform that did it.
    pub actor: Option<String>,
    /// The rule, where one did.
    pub rule_id: Option<Uuid>,
    /// What was otherwise before.
    pub before: Option<Value>,
    /// What it is since.
    pub after: Option<Value>,
    /// In words.
    pub comment: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The same page of each alert's events, the newest first. A place is time and id of a row.
///
/// Served by the primary key; the events of an alert are sorted, for those that one statement wrote have no order.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn event_pages_of(
    tx: &mut TenantTx,
    alerts: &[AlertId],
    window: Window<(DateTime<Utc>, Uuid)>,
) -> Result<HashMap<AlertId, Page<AlertEventRow>>, StoreError> {
    let tenant = tx.tenant();
    let alerts: Vec<Uuid> = alerts.iter().map(|id| id.uuid()).collect();
    let mut query = QueryBuilder::<Postgres>::new("select e.* from unnest(");
    query.push_bind(alerts).push(
        "::uuid[]) x(id) cross join lateral (select e.alert_id, e.id, e.kind, e.task_id, e.actor, e.rule_id, \
         e.before, e.after, e.comment, e.created_at from tenant.alert_event e where e.tenant_id = ",
    );
    query.push_bind(tenant).push(" and e.alert_id = x.id");
    for (sign, place) in [("<", window.after), (">", window.before)] {
        if let Some((at, id)) = place {
            query.push(" and (e.created_at, e.id) ").push(sign);
            query.push(" (").push_bind(at).push(", ").push_bind(id).push(")");
        }
    }
    query
        .push(if window.from_end {
            " order by e.created_at, e.id limit "
        } else {
            " order by e.created_at desc, e.id desc limit "
        })
        .push_bind(window.limit.probe())
        .push(") e order by e.created_at desc, e.id desc");
    let allowance = tx.allowance();
    let rows = query.build_query_as::<AlertEventRow>().fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_alert_event).await?;
    let rows = rows.into_iter().map(|row| (AlertId::from(row.alert_id), row));
    Ok(Page::between_each(rows, &window))
}
