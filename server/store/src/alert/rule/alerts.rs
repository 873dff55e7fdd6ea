//! What rules look at: alerts that this transaction wrote, or all that are open, a part at a time; and what of them
//! people have decided.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use tamiz_core::alert_rule::Subject;
use tamiz_core::{AlertId, AlertState, ProjectId, Severity, TaskId};
use uuid::Uuid;

use crate::alert::{expiry, standing_of};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Alerts that are looked at together: their texts are a few megabytes at most, mostly one.
pub const ALERTS_AT_ONCE: usize = 5_000;

/// An alert that rules may act on, open or reopened.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub id: AlertId,
    /// Where it stands.
    pub state: AlertState,
    /// How bad it is.
    pub severity: Severity,
    /// By the tool's word.
    pub tool_severity: Severity,
    /// Whether this transaction made it, so that nobody can have decided anything.
    pub is_new: bool,
    scope: Uuid,
    tool: String,
    rule: String,
    path: Option<String>,
    cwe: Vec<i32>,
    place: Option<(String, String)>,
    target: String,
}

impl Candidate {
    /// What conditions are held against.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            tool: &self.tool,
            rule: &self.rule,
            path: self.path.as_deref(),
            cwe: &self.cwe,
            target: &self.target,
            place: self
                .place
                .as_ref()
                .map(|(kind, label)| (kind.as_str(), label.as_str())),
            severity: self.tool_severity,
        }
    }

    /// Where a walk that ended with it goes on.
    pub fn position(&self) -> Position {
        Position(
            self.state.rank(),
            self.severity.rank(),
            self.scope,
            self.id.uuid(),
        )
    }
}

/// Where a walk over open alerts ended: state, severity, scope and id of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(i16, i16, Uuid, Uuid);

impl Position {
    /// Before the first one.
    pub const START: Self = Self(i16::MAX, i16::MAX, Uuid::max(), Uuid::max());
}

/// Open alerts that this very transaction opened or reopened, or that say something else since. The project is held.
///
/// To be called once the task's scopes are merged. It reads the open alerts of these scopes (`alert_present_idx`) and keeps
/// the rows that this transaction wrote (`xmin`), as [`crate::alert::due::set`] does.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn written_now(
    tx: &mut TenantTx,
    project: ProjectId,
    task: TaskId,
) -> Result<Vec<AlertId>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"
        select a.id from tenant.scan_scope s join tenant.alert a
            on a.tenant_id = $1 and a.project_id = $2 and a.scope_id = s.id and a.state in (0, 1)
            and a.severity between 0 and 4 and a.last_seen_at is null and a.xmin = pg_current_xact_id()::xid
        where s.tenant_id = $1 and s.project_id = $2 and s.task_id = $3
        "#,
        tx.tenant(),
        project.uuid(),
        task.uuid()
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(ids.into_iter().map(AlertId::from).collect())
}

struct Row {
    id: Uuid,
    state: i16,
    severity: i16,
    tool_severity: i16,
    is_new: bool,
    scope_id: Uuid,
    source_tool: String,
    rule_id: String,
    file_path: Option<String>,
    cwe: Vec<i32>,
    location_kind: Option<String>,
    location_label: Option<String>,
    target: String,
}

impl TryFrom<Row> for Candidate {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let (state, severity) = standing_of(row.state, row.severity)?;
        let (_, tool_severity) = standing_of(row.state, row.tool_severity)?;
        Ok(Self {
            id: row.id.into(),
            state,
            severity,
            tool_severity,
            is_new: row.is_new,
            scope: row.scope_id,
            tool: row.source_tool,
            rule: row.rule_id,
            path: row.file_path,
            cwe: row.cwe,
            place: row.location_kind.zip(row.location_label),
            target: row.target,
        })
    }
}

/// What rules look at of these alerts, at most [`ALERTS_AT_ONCE`]; those that are not open are left out. All by keys.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(
    tx: &mut TenantTx,
    project: ProjectId,
    ids: &[AlertId],
) -> Result<Vec<Candidate>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        select a.id, a.state, a.severity, a.tool_severity, a.first_seen_at = now() as "is_new!", a.scope_id,
               a.source_tool, c.rule_id, c.file_path, c.cwe, c.location_kind, c.location_label, s.target
        from unnest($3::uuid[]) x(id)
        cross join lateral (select * from tenant.alert a
                            where a.tenant_id = $1 and a.id >= x.id and a.id <= x.id and a.project_id = $2
                              and a.state in (0, 1) order by a.id limit 1) a
        cross join lateral (select * from tenant.finding_content c
                            where c.tenant_id = $1 and c.project_id = $2 and c.id = a.content_id limit 1) c
        cross join lateral (select s.target from tenant.scan_scope s
                            where s.tenant_id = $1 and s.id = a.scope_id limit 1) s
        "#,
        tx.tenant(),
        project.uuid(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Candidate::try_from).collect()
}

/// Open alerts behind a position, reopened ones first and then the worst, at most [`ALERTS_AT_ONCE`].
///
/// Served by `alert_present_idx`, backwards; contents and scopes by their keys.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn open_after(
    tx: &mut TenantTx,
    project: ProjectId,
    after: Position,
) -> Result<Vec<Candidate>, StoreError> {
    let Position(state, severity, scope, id) = after;
    let rows = sqlx::query_as!(
        Row,
        r#"
        with page as materialized (
            select a.* from tenant.alert a
            where a.tenant_id = $1 and a.project_id = $2 and a.last_seen_at is null and a.state <= 1
              and (a.state, a.severity, a.scope_id, a.id) < ($3::smallint, $4::smallint, $5::uuid, $6::uuid)
            order by a.state desc, a.severity desc, a.scope_id desc, a.id desc limit $7)
        select a.id, a.state, a.severity, a.tool_severity, a.first_seen_at = now() as "is_new!", a.scope_id,
               a.source_tool, c.rule_id, c.file_path, c.cwe, c.location_kind, c.location_label, s.target
        from page a
        cross join lateral (select * from tenant.finding_content c
                            where c.tenant_id = $1 and c.project_id = $2 and c.id = a.content_id limit 1) c
        cross join lateral (select s.target from tenant.scan_scope s
                            where s.tenant_id = $1 and s.id = a.scope_id limit 1) s
        order by a.state desc, a.severity desc, a.scope_id desc, a.id desc
        "#,
        tx.tenant(),
        project.uuid(),
        state,
        severity,
        scope,
        id,
        i64::try_from(ALERTS_AT_ONCE).unwrap_or(i64::MAX)
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Candidate::try_from).collect()
}

/// What people decided, which rules leave alone for ever.
#[derive(Debug, Default)]
pub struct Decided {
    /// Alerts that a person dismissed or reopened.
    pub dismissal: HashSet<AlertId>,
    /// Alerts of which a person said how bad they are, or took it back.
    pub severity: HashSet<AlertId>,
}

/// Of these alerts, those that people decided on: an event of theirs says so. Served by the events' primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn decided_by_people(tx: &mut TenantTx, ids: &[AlertId]) -> Result<Decided, StoreError> {
    if ids.is_empty() {
        return Ok(Decided::default());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select x.id as "id!", e.kind = 'severity' as "is_severity!"
        from unnest($2::uuid[]) x(id)
        cross join lateral (
            select e.kind from tenant.alert_event e
            where e.tenant_id = $1 and e.alert_id = x.id and e.kind in ('dismissed', 'reopened', 'severity')
              and e.actor is not null and e.rule_id is null and e.actor <> $3) e
        "#,
        tx.tenant(),
        &ids,
        expiry::ACTOR
    )
    .fetch_all(tx.connection())
    .await?;
    let mut decided = Decided::default();
    for row in rows {
        let set = if row.is_severity {
            &mut decided.severity
        } else {
            &mut decided.dismissal
        };
        set.insert(row.id.into());
    }
    Ok(decided)
}
