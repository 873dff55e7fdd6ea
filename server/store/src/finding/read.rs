//! Reading findings: pages in one of a few orders, counts, and by id.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder, Row as _};
use tamiz_core::{FindingId, ProjectId, Severity, TaskId};
use uuid::Uuid;

use super::content_row;
use super::said::{self, Said};
use crate::error::{StoreError, ranked};
use crate::page::{Page, Window};
use crate::row_count::{PROBED, RowCount};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// Which findings. All conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FindingFilter {
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of this task.
    pub task: Option<TaskId>,
    /// One of these severities; empty means any.
    pub severities: Vec<Severity>,
    /// One of these tools; empty means any.
    pub tools: Vec<String>,
    /// One of these rules; empty means any.
    pub rules: Vec<String>,
    /// In exactly this file, or under it when it ends in `/`.
    pub file: Option<String>,
}

/// In which order. Ties are broken by id, so every order is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingOrder {
    /// Worst first, then newest.
    SeverityDesc,
    /// Newest first.
    CreatedDesc,
    /// By file, line.
    File,
}

impl FindingOrder {
    /// What a page is read from. Orders by the finding's own columns read contents one by one, in the order of an index,
    /// until the page is full; a join would be made of all findings first.
    const fn read_from(self) -> &'static str {
        match self {
            Self::SeverityDesc | Self::CreatedDesc => KEYED,
            Self::File => JOINED,
        }
    }

    /// For `order by`, inside the query that joins findings and contents.
    pub(super) const fn columns(self) -> &'static str {
        match self {
            Self::SeverityDesc => "f.severity desc, f.id desc",
            Self::CreatedDesc => "f.id desc",
            Self::File => "coalesce(c.file_path, ''), coalesce(c.line, 0), f.id",
        }
    }

    /// The same backwards.
    pub(super) const fn columns_backwards(self) -> &'static str {
        match self {
            Self::SeverityDesc => "f.severity, f.id",
            Self::CreatedDesc => "f.id",
            Self::File => "coalesce(c.file_path, '') desc, coalesce(c.line, 0) desc, f.id desc",
        }
    }

    /// Columns that the order outside needs besides those of the finding.
    pub(super) const fn outer_needs(self) -> &'static str {
        match self {
            Self::SeverityDesc | Self::CreatedDesc => "",
            Self::File => ", c.file_path, c.line",
        }
    }

    /// The same outside of it, for the order that only the database knows; of all parents' rows together it takes as
    /// long as finding them.
    pub(super) const fn outer_order(self) -> &'static str {
        match self {
            Self::SeverityDesc | Self::CreatedDesc => "",
            Self::File => " order by coalesce(file_path, ''), coalesce(line, 0), id",
        }
    }
}

/// Where a page ended: what the next one continues after.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FindingPosition {
    /// Of the last row.
    pub severity: i16,
    /// Of the last row; empty when it has none.
    pub file_path: String,
    /// Of the last row; 0 when it has none.
    pub line: i32,
    /// Of the last row.
    pub id: FindingId,
}

/// A stored finding.
#[derive(Debug, Clone)]
pub struct FindingRow {
    /// Its id.
    pub id: Uuid,
    /// Where it belongs.
    pub project_id: Uuid,
    /// Which task found it.
    pub task_id: Uuid,
    /// The alert that it is a sighting of; none of an attempt that failed.
    pub alert_id: Option<Uuid>,
    /// Which tool.
    pub source_tool: String,
    /// 0 info to 4 critical.
    pub severity: i16,
    /// The content identity.
    pub fingerprint: Vec<u8>,
    /// Of which rule.
    pub fingerprint_version: i16,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// What it says, shared by all that say it.
    pub said: Arc<Said>,
}

/// Of a query that reads finding and content together.
impl<'r> FromRow<'r, PgRow> for FindingRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            project_id: row.try_get("project_id")?,
            task_id: row.try_get("task_id")?,
            alert_id: row.try_get("alert_id")?,
            source_tool: row.try_get("source_tool")?,
            severity: row.try_get("severity")?,
            fingerprint: row.try_get("fingerprint")?,
            fingerprint_version: row.try_get("fingerprint_version")?,
            created_at: row.try_get("created_at")?,
            said: Arc::new(Said::from_row(row)?),
        })
    }
}

impl FindingRow {
    /// Where a page that ends with this row ended.
    pub fn position(&self) -> FindingPosition {
        FindingPosition {
            severity: self.severity,
            file_path: self.said.content.file_path.clone().unwrap_or_default(),
            line: self.said.content.line.unwrap_or(0),
            id: self.id.into(),
        }
    }
}

/// The columns of a [`FindingRow`].
fn push_columns(query: &mut QueryBuilder<Postgres>) {
    query.push(
        "f.id, f.project_id, f.task_id, f.alert_id, f.source_tool, f.severity, f.fingerprint, f.fingerprint_version, \
         f.created_at, ",
    );
    said::push_columns(query);
}

/// Findings without what they say.
const ALONE: &str = " from tenant.finding f";
/// Findings with what they say, each looked up by the key of contents.
const KEYED: &str = " from tenant.finding f cross join lateral (select * from tenant.finding_content c \
    where c.tenant_id = f.tenant_id and c.project_id = f.project_id and c.id = f.content_id limit 1) c";
/// Findings with what they say, all at once.
const JOINED: &str = " from tenant.finding f join tenant.finding_content c on c.tenant_id = f.tenant_id \
    and c.project_id = f.project_id and c.id = f.content_id";

impl FindingFilter {
    /// Whether something is asked of what findings say.
    const fn asks_contents(&self) -> bool {
        !self.rules.is_empty() || self.file.is_some()
    }

    /// What is read to count: contents only where something is asked of them.
    pub(super) const fn counted_from(&self) -> &'static str {
        if self.asks_contents() { JOINED } else { ALONE }
    }

    /// What is read to find a page without what its findings say: contents only where they decide.
    pub(super) const fn paged_from(&self, order: FindingOrder) -> &'static str {
        match order {
            FindingOrder::SeverityDesc | FindingOrder::CreatedDesc if !self.asks_contents() => ALONE,
            order => order.read_from(),
        }
    }
}

/// One page of findings.
///
/// Worst first is served by `finding_task_severity_idx` or `finding_project_severity_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(
    tx: &mut TenantTx,
    filter: &FindingFilter,
    order: FindingOrder,
    window: &Window<FindingPosition>,
) -> Result<Page<FindingRow>, StoreError> {
    let mut query = QueryBuilder::new("select ");
    push_columns(&mut query);
    query.push(order.read_from());
    conditions(&mut query, tx.tenant(), filter);
    push_window(&mut query, order, window);
    let allowance = tx.allowance();
    let rows = query.build_query_as::<FindingRow>().fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_finding).await?;
    Ok(Page::read(rows, window))
}

/// How many findings there are under `filter`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn count(tx: &mut TenantTx, filter: &FindingFilter) -> Result<RowCount, StoreError> {
    let mut query = QueryBuilder::new("select count(*) from (select");
    query.push(filter.counted_from());
    conditions(&mut query, tx.tenant(), filter);
    query.push(" limit ").push_bind(PROBED).push(") f");
    let read = query.build_query_scalar().fetch_one(tx.connection()).await?;
    Ok(RowCount::probed(read))
}

pub(super) fn conditions(query: &mut QueryBuilder<Postgres>, tenant: Uuid, filter: &FindingFilter) {
    query.push(" where f.tenant_id = ").push_bind(tenant);
    if let Some(project) = filter.project {
        query.push(" and f.project_id = ").push_bind(project.uuid());
    }
    if let Some(task) = filter.task {
        query.push(" and f.task_id = ").push_bind(task.uuid());
    }
    if !filter.severities.is_empty() {
        let ranks: Vec<i16> = filter.severities.iter().map(|severity| severity.rank()).collect();
        query.push(" and f.severity = any(").push_bind(ranks).push(")");
    }
    if !filter.tools.is_empty() {
        query
            .push(" and f.source_tool = any(")
            .push_bind(filter.tools.clone())
            .push(")");
    }
    content_row::push_conditions(query, &filter.rules, filter.file.as_deref());
}

/// The rows between two places, in the order in which they are to be read.
pub(super) fn push_window(
    query: &mut QueryBuilder<Postgres>,
    order: FindingOrder,
    window: &Window<FindingPosition>,
) {
    // worst and newest come first, files by their names
    let (beyond, until) = match order {
        FindingOrder::SeverityDesc | FindingOrder::CreatedDesc => ("<", ">"),
        FindingOrder::File => (">", "<"),
    };
    if let Some(after) = &window.after {
        push_bound(query, order, beyond, after);
    }
    if let Some(before) = &window.before {
        push_bound(query, order, until, before);
    }
    query.push(" order by ").push(if window.from_end {
        order.columns_backwards()
    } else {
        order.columns()
    });
    query.push(" limit ").push_bind(window.limit.probe());
}

fn push_bound(
    query: &mut QueryBuilder<Postgres>,
    order: FindingOrder,
    sign: &'static str,
    at: &FindingPosition,
) {
    match order {
        FindingOrder::SeverityDesc => {
            query.push(" and (f.severity, f.id) ").push(sign);
            query.push(" (").push_bind(at.severity);
        }
        FindingOrder::CreatedDesc => {
            query.push(" and (f.id) ").push(sign).push(" (");
            query.push_bind(at.id.uuid()).push(")");
            return;
        }
        FindingOrder::File => {
            query
                .push(" and (coalesce(c.file_path, ''), coalesce(c.line, 0), f.id) ")
                .push(sign);
            query.push(" (").push_bind(at.file_path.clone());
            query.push(", ").push_bind(at.line);
        }
    }
    query.push(", ").push_bind(at.id.uuid()).push(")");
}

/// The findings with these ids, in no order; unknown ids are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[FindingId]) -> Result<Vec<FindingRow>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let mut query = QueryBuilder::new("select ");
    push_columns(&mut query);
    query
        .push(JOINED)
        .push(" where f.tenant_id = ")
        .push_bind(tx.tenant());
    query.push(" and f.id = any(").push_bind(ids).push(")");
    let allowance = tx.allowance();
    let rows = query.build_query_as::<FindingRow>().fetch(tx.connection());
    allowance.collect(rows, weight::of_finding).await
}

/// Findings per project and severity, for these projects.
///
/// Served by `finding_project_severity_idx`, which has those of each project in the order in which they are counted.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn severity_counts(
    tx: &mut TenantTx,
    projects: &[ProjectId],
) -> Result<Vec<(ProjectId, Severity, i64)>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select wanted.project_id as "project_id!", found.severity, found.count as "count!"
        from unnest($2::uuid[]) wanted(project_id)
        cross join lateral (
            select severity, count(*) as count from tenant.finding
            where tenant_id = $1 and project_id = wanted.project_id group by severity) found
        "#,
        tx.tenant(),
        &projects
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let severity = ranked("severity", row.severity, Severity::from_rank)?;
            Ok((row.project_id.into(), severity, row.count))
        })
        .collect()
}
