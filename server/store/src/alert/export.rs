//! A project's alerts on their way out: in which order, and all that is written of each.
//!
//! Exports are ordered by tool, rule and id. No index has that order: rules stand in contents, and one more index would
//! cost every import what few exports need. So the ids are put in order once, 16 bytes each ([`order`]), and what
//! the alerts say is read a few at a time, each by its key ([`read`]), in transactions as short as the caller likes.
//! Each alert is as it is when it is read; one that comes meanwhile is in the next export.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tamiz_core::export::Exported;
use tamiz_core::{AlertState, Dismissal, Location, ProjectId, ScanType};
use uuid::Uuid;

use super::{fingerprint_of, standing_of};
use crate::error::{StoreError, word};
use crate::finding::contents;
use crate::tenant_tx::TenantTx;

/// Alerts that are put in order at once: 16 MB of ids.
pub const ALERTS_PER_ORDER_MAX: u32 = 1_000_000;
/// Alerts that are read at once: with the longest texts that findings may have some 40 MB, mostly a half.
pub const ALERTS_PER_READ: usize = 200;
/// Places of an alert that are written.
const PLACES_MAX: i64 = 100;

/// Ids in the order of exports.
#[derive(Debug, Default)]
pub struct Order {
    /// At most [`ALERTS_PER_ORDER_MAX`].
    pub ids: Vec<Uuid>,
    /// Of the first that found no room.
    pub next: Option<Uuid>,
}

/// The project's alerts in these states by tool, rule and id, the first of them `from`; none when there is no such alert.
///
/// The states' parts of `alert_present_idx` and `alert_gone_idx`, with contents by their key: a sort of all of them, 0.3
/// seconds for 100,000.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn order(
    tx: &mut TenantTx,
    project: ProjectId,
    states: &[AlertState],
    from: Option<Uuid>,
) -> Result<Order, StoreError> {
    let ranks: Vec<i16> = states.iter().map(|state| state.rank()).collect();
    let mut ids = sqlx::query_scalar!(
        r#"
        select a.id from tenant.alert a
        join tenant.finding_content c on c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.content_id
        where a.tenant_id = $1 and a.project_id = $2 and a.state = any($3) and ($4::uuid is null
            or (a.source_tool, c.rule_id, a.id) >= (
                select f.source_tool, d.rule_id, f.id from tenant.alert f
                join tenant.finding_content d
                    on d.tenant_id = f.tenant_id and d.project_id = f.project_id and d.id = f.content_id
                where f.tenant_id = $1 and f.project_id = $2 and f.id = $4))
        order by a.source_tool, c.rule_id, a.id limit $5
        "#,
        tx.tenant(),
        project.uuid(),
        &ranks,
        from,
        i64::from(ALERTS_PER_ORDER_MAX) + 1
    )
    .fetch_all(tx.connection())
    .await?;
    let next = (ids.len() > ALERTS_PER_ORDER_MAX as usize)
        .then(|| ids.pop())
        .flatten();
    Ok(Order { ids, next })
}

/// An alert's own row, with that of the scope that saw it last.
struct AlertRow {
    id: Uuid,
    content_id: Uuid,
    fingerprint: Vec<u8>,
    fingerprint_version: i16,
    state: i16,
    severity: i16,
    cvss_score: Option<f64>,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    dismissed_reason: Option<String>,
    dismissed_comment: Option<String>,
    dismissed_by: Option<String>,
    dismissed_at: Option<DateTime<Utc>>,
    dismissed_until: Option<DateTime<Utc>>,
    scan_type: String,
    tool_version: Option<String>,
}

/// What is written of these alerts, at most [`ALERTS_PER_READ`], in their order; those that are not the project's are
/// left out. All by keys.
///
/// # Errors
/// [`StoreError`] when the database cannot be read or holds what cannot be.
pub async fn read(tx: &mut TenantTx, project: ProjectId, ids: &[Uuid]) -> Result<Vec<Exported>, StoreError> {
    let rows = sqlx::query_as!(
        AlertRow,
        r#"
        select a.id, a.content_id, a.fingerprint, a.fingerprint_version, a.state, a.severity,
               c.cvss_score::float8 as cvss_score, a.first_seen_at,
               coalesce(a.last_seen_at, s.scanned_at) as "last_seen_at!", a.dismissed_reason, a.dismissed_comment,
               a.dismissed_by, a.dismissed_at, a.dismissed_until, s.scan_type, e.tool_version as "tool_version?"
        from unnest($3::uuid[]) with ordinality x(id, n)
        join tenant.alert a on a.tenant_id = $1 and a.project_id = $2 and a.id = x.id
        join tenant.finding_content c on c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.content_id
        join tenant.scan_scope s on s.tenant_id = a.tenant_id and s.id = a.scope_id
        left join lateral (
            select t.tool_version from tenant.tool_execution t
            where t.tenant_id = $1 and t.task_id = s.task_id and t.tool = a.source_tool
            order by t.id desc limit 1) e on true
        order by x.n
        "#,
        tx.tenant(),
        project.uuid(),
        ids
    )
    .fetch_all(tx.connection())
    .await?;
    let wanted: Vec<Uuid> = rows.iter().map(|row| row.content_id).collect();
    let findings = contents(tx, project, &wanted, None).await?;
    let mut places = places(tx, project, ids).await?;
    let mut alerts = Vec::with_capacity(rows.len());
    for row in rows {
        // several alerts may say the same
        if let Some(finding) = findings.get(&row.content_id).cloned() {
            let places = places.remove(&row.id).unwrap_or_default();
            alerts.push(Exported {
                places,
                ..exported(row, finding)?
            });
        }
    }
    Ok(alerts)
}

/// Where these alerts are: of each place that is there, what its sighting names first.
async fn places(
    tx: &mut TenantTx,
    project: ProjectId,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Location>>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select x.id as "id!", o.place as "place!: Json<Location>"
        from unnest($3::uuid[]) x(id)
        cross join lateral (
            select c.locations -> 0 as place from tenant.alert_occurrence p
            join tenant.finding_content c on c.tenant_id = p.tenant_id and c.project_id = $2 and c.id = p.content_id
            where p.tenant_id = $1 and p.alert_id = x.id and p.last_seen_at is null
                and jsonb_array_length(c.locations) > 0
            order by p.scope_id, p.place limit $4) o
        "#,
        tx.tenant(),
        project.uuid(),
        ids,
        PLACES_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    let mut places: HashMap<Uuid, Vec<Location>> = HashMap::new();
    for row in rows {
        places.entry(row.id).or_default().push(row.place.0);
    }
    Ok(places)
}

fn exported(row: AlertRow, finding: tamiz_core::Finding) -> Result<Exported, StoreError> {
    let (state, severity) = standing_of(row.state, row.severity)?;
    let dismissal = match row.dismissed_reason {
        None => None,
        Some(reason) => Some(Dismissal {
            reason: word("reason of a dismissal", &reason)?,
            comment: row.dismissed_comment,
            by: row.dismissed_by.unwrap_or_default(),
            at: row.dismissed_at.unwrap_or(row.first_seen_at),
            until: row.dismissed_until,
        }),
    };
    Ok(Exported {
        id: row.id,
        finding,
        places: Vec::new(),
        fingerprint: fingerprint_of(&row.fingerprint)?,
        fingerprint_version: row.fingerprint_version,
        state,
        dismissal,
        severity,
        cvss_score: row.cvss_score,
        first_seen: row.first_seen_at,
        last_seen: row.last_seen_at,
        baseline: None,
        scan_type: ScanType::parse(&row.scan_type)
            .map_err(|_| StoreError::unreadable("scan type", &row.scan_type))?,
        tool_version: row.tool_version,
    })
}
