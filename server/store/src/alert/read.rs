//! Reading alerts: what one shows, and by id. Pages of them: [`super::page`].

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, Postgres, QueryBuilder};
use tamiz_core::{AlertId, ProjectId};
use uuid::Uuid;

use super::page::AlertPosition;
use crate::error::StoreError;
use crate::finding::content_row::{self, ContentRow};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// An alert with what its newest sighting says and the scope that saw it last.
#[derive(Debug, Clone, FromRow)]
pub struct AlertRow {
    /// Its id.
    pub id: Uuid,
    /// Where it belongs.
    pub project_id: Uuid,
    /// What its identity is made of.
    pub kind: String,
    /// Which tool.
    pub source_tool: String,
    /// 0 open, 1 reopened, 2 dismissed, 3 fixed.
    pub state: i16,
    /// What counts: 0 info to 4 critical.
    pub severity: i16,
    /// The tool's.
    pub tool_severity: i16,
    /// A person's.
    pub severity_override: Option<i16>,
    /// The identity.
    pub fingerprint: Vec<u8>,
    /// Of which rule.
    pub fingerprint_version: i16,
    /// When it opened.
    pub first_seen_at: DateTime<Utc>,
    /// When it was seen last.
    pub last_seen: DateTime<Utc>,
    /// Whether a scope holds it.
    pub is_present: bool,
    /// The task that saw it first.
    pub first_task_id: Uuid,
    /// Why it is dismissed.
    pub dismissed_reason: Option<String>,
    /// In words.
    pub dismissed_comment: Option<String>,
    /// By whom.
    pub dismissed_by: Option<String>,
    /// When.
    pub dismissed_at: Option<DateTime<Utc>>,
    /// Until when.
    pub dismissed_until: Option<DateTime<Utc>>,
    /// Who shall act.
    pub assignee: Option<String>,
    /// Until which day.
    pub due_on: Option<NaiveDate>,
    /// The scope that saw it last.
    #[sqlx(flatten)]
    pub scope: AlertScope,
    /// What its newest sighting says.
    #[sqlx(flatten)]
    pub content: ContentRow,
    /// Of the rest, what the tool says of suppressions ([`tamiz_core::suppression::KEYS`]).
    pub suppressions: sqlx::types::Json<serde_json::Map<String, serde_json::Value>>,
}

/// What a scan looked at.
#[derive(Debug, Clone, FromRow)]
pub struct AlertScope {
    /// Its id.
    pub scope_id: Uuid,
    /// The type of scan.
    pub scan_type: String,
    /// Which tool.
    pub scope_tool: String,
    /// Host, `host:port` or name; empty for source code.
    pub scope_target: String,
    /// Of the source code.
    pub scope_branch: String,
    /// Such as `staging`.
    pub scope_environment: String,
    /// Parts of one target.
    pub scope_category: String,
    /// When it was scanned last.
    pub scanned_at: DateTime<Utc>,
    /// The task that did.
    pub scope_task_id: Uuid,
}

impl AlertRow {
    /// Where a page that ends with this row ended.
    pub fn position(&self) -> AlertPosition {
        AlertPosition {
            severity: self.severity,
            last_seen: self.last_seen,
            group: if self.is_present {
                self.scope.scope_id
            } else {
                Uuid::nil()
            },
            id: self.id.into(),
        }
    }

    /// Where it belongs.
    pub fn project(&self) -> ProjectId {
        self.project_id.into()
    }
}

/// The columns of an [`AlertScope`].
pub(super) const SCOPE_COLUMNS: &str = "s.id as scope_id, s.scan_type, s.tool as scope_tool, s.target as scope_target, \
    s.branch as scope_branch, s.environment as scope_environment, s.category as scope_category, s.scanned_at, \
    s.task_id as scope_task_id";

/// The columns of an [`AlertRow`].
pub(super) fn push_columns(query: &mut QueryBuilder<Postgres>) {
    query.push(
        "a.id, a.project_id, a.kind, a.source_tool, a.state, a.severity, a.tool_severity, a.severity_override, \
         a.fingerprint, a.fingerprint_version, a.first_seen_at, coalesce(a.last_seen_at, s.scanned_at) as last_seen, \
         a.last_seen_at is null as is_present, a.first_task_id, a.dismissed_reason, a.dismissed_comment, \
         a.dismissed_by, a.dismissed_at, a.dismissed_until, a.assignee, a.due_on, \
         jsonb_strip_nulls(jsonb_build_object('suppressions', c.extra->'suppressions', 'suppressions-not-accepted', \
         c.extra->'suppressions-not-accepted', 'suppressed', c.extra->'suppressed')) as suppressions, ",
    );
    query.push(content_row::COLUMNS).push(", ").push(SCOPE_COLUMNS);
}

/// What the alerts `a` say, by the key of contents: of each alert, so that nobody reads all contents first.
pub(super) const WITH_CONTENT: &str = " cross join lateral (select * from tenant.finding_content c \
    where c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.content_id limit 1) c";
/// The scopes that saw the alerts `a` last, by their key: of each alert.
pub(super) const WITH_SCOPE: &str = " cross join lateral (select * from tenant.scan_scope s \
    where s.tenant_id = a.tenant_id and s.id = a.scope_id limit 1) s";

/// The alerts with these ids, in no order; unknown ids are left out. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[AlertId]) -> Result<Vec<AlertRow>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let mut query = QueryBuilder::<Postgres>::new("select ");
    push_columns(&mut query);
    query
        .push(" from tenant.alert a")
        .push(WITH_CONTENT)
        .push(WITH_SCOPE);
    query.push(" where a.tenant_id = ").push_bind(tx.tenant());
    query.push(" and a.id = any(").push_bind(ids).push(")");
    let allowance = tx.allowance();
    let rows = query.build_query_as::<AlertRow>().fetch(tx.connection());
    allowance.collect(rows, weight::of_alert).await
}
