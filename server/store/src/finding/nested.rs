//! Pages of findings for many tasks or projects at once: one statement however many there are.
//!
//! Each parent's page is read by its own index range (a lateral join), so the cost is that of the
//! single pages without their round trips. What the findings say is read by a second statement, each content once.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder, Row as _};
use tamiz_core::{ProjectId, TaskId};
use uuid::Uuid;

use super::read::{FindingFilter, FindingOrder, FindingPosition, FindingRow, conditions, push_window};
use super::said::{ContentKey, Said, said_by};
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::row_count::{PROBED, RowCount};
use crate::tenant_tx::TenantTx;

/// Whose findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingParents {
    /// Of these projects.
    Projects(Vec<ProjectId>),
    /// Of these tasks.
    Tasks(Vec<TaskId>),
}

impl FindingParents {
    const fn column(&self) -> &'static str {
        match self {
            Self::Projects(_) => "f.project_id",
            Self::Tasks(_) => "f.task_id",
        }
    }

    fn ids(&self) -> Vec<Uuid> {
        match self {
            Self::Projects(ids) => ids.iter().map(|id| id.uuid()).collect(),
            Self::Tasks(ids) => ids.iter().map(|id| id.uuid()).collect(),
        }
    }

    fn of(&self, row: &Sighting) -> Uuid {
        match self {
            Self::Projects(_) => row.project_id,
            Self::Tasks(_) => row.task_id,
        }
    }
}

/// A finding without what it says.
struct Sighting {
    id: Uuid,
    project_id: Uuid,
    task_id: Uuid,
    alert_id: Option<Uuid>,
    content_id: Uuid,
    source_tool: String,
    severity: i16,
    fingerprint: Vec<u8>,
    fingerprint_version: i16,
    created_at: DateTime<Utc>,
}

/// By position, in the order of [`push_pages`]: thousands of rows are read at once, and names are looked up in each.
impl<'r> FromRow<'r, PgRow> for Sighting {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            project_id: row.try_get(1)?,
            task_id: row.try_get(2)?,
            alert_id: row.try_get(3)?,
            content_id: row.try_get(4)?,
            source_tool: row.try_get(5)?,
            severity: row.try_get(6)?,
            fingerprint: row.try_get(7)?,
            fingerprint_version: row.try_get(8)?,
            created_at: row.try_get(9)?,
        })
    }
}

impl Sighting {
    const fn content(&self) -> ContentKey {
        (self.project_id, self.content_id)
    }

    fn saying(self, said: Arc<Said>) -> FindingRow {
        FindingRow {
            id: self.id,
            project_id: self.project_id,
            task_id: self.task_id,
            alert_id: self.alert_id,
            source_tool: self.source_tool,
            severity: self.severity,
            fingerprint: self.fingerprint,
            fingerprint_version: self.fingerprint_version,
            created_at: self.created_at,
            said,
        }
    }
}

/// What pages are asked by.
pub(crate) fn push_pages(
    query: &mut QueryBuilder<Postgres>,
    tenant: Uuid,
    parents: &FindingParents,
    filter: &FindingFilter,
    order: FindingOrder,
    window: &Window<FindingPosition>,
) {
    query
        .push("select f.* from unnest(")
        .push_bind(parents.ids())
        .push(
            "::uuid[]) parent(parent_id) cross join lateral (select f.id, f.project_id, f.task_id, f.alert_id, \
             f.content_id, f.source_tool, f.severity, f.fingerprint, f.fingerprint_version, f.created_at",
        )
        .push(order.outer_needs())
        .push(filter.paged_from(order));
    conditions(query, tenant, filter);
    query
        .push(" and ")
        .push(parents.column())
        .push(" = parent.parent_id");
    push_window(query, order, window);
    query.push(") f").push(order.outer_order());
}

/// Puts rows of all parents into the order that the database did not put them in ([`FindingOrder::outer_order`]).
fn sort(rows: &mut [Sighting], order: FindingOrder) {
    match order {
        FindingOrder::SeverityDesc => rows.sort_by_key(|row| Reverse((row.severity, row.id))),
        FindingOrder::CreatedDesc => rows.sort_by_key(|row| Reverse(row.id)),
        FindingOrder::File => {}
    }
}

/// The same page of each parent; a parent without findings is left out.
///
/// Served by `finding_task_severity_idx` and `finding_project_severity_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn pages_of(
    tx: &mut TenantTx,
    parents: &FindingParents,
    filter: &FindingFilter,
    order: FindingOrder,
    window: &Window<FindingPosition>,
) -> Result<HashMap<Uuid, Page<FindingRow>>, StoreError> {
    let mut query = QueryBuilder::new("");
    push_pages(&mut query, tx.tenant(), parents, filter, order, window);
    let allowance = tx.allowance();
    let rows = query.build_query_as::<Sighting>().fetch(tx.connection());
    let weigh = |row: &Sighting| size_of::<FindingRow>() as u64 + row.source_tool.len() as u64;
    let mut rows = allowance.collect(rows, weigh).await?;
    sort(&mut rows, order);
    let pages = Page::between_each(rows.into_iter().map(|row| (parents.of(&row), row)), window);
    let contents: HashSet<ContentKey> = pages
        .values()
        .flat_map(|page| page.rows.iter().map(Sighting::content))
        .collect();
    let said = said_by(tx, contents).await?;
    let with_contents = |page: Page<Sighting>| {
        // what was deleted between the two statements is gone with its content
        let saying = |row: Sighting| said.get(&row.content()).cloned().map(|said| row.saying(said));
        Page {
            rows: page.rows.into_iter().filter_map(saying).collect(),
            has_next: page.has_next,
            has_previous: page.has_previous,
        }
    };
    Ok(pages
        .into_iter()
        .map(|(parent, page)| (parent, with_contents(page)))
        .collect())
}

/// How many findings each parent has under `filter`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts_of(
    tx: &mut TenantTx,
    parents: &FindingParents,
    filter: &FindingFilter,
) -> Result<HashMap<Uuid, RowCount>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new("select p.id, c.rows from unnest(");
    query.push_bind(parents.ids());
    query.push("::uuid[]) p(id) cross join lateral (select count(*) as rows from (select");
    query.push(filter.counted_from());
    conditions(&mut query, tx.tenant(), filter);
    query.push(" and ").push(parents.column()).push(" = p.id limit ");
    query.push_bind(PROBED).push(") f) c");
    let read: Vec<(Uuid, i64)> = query.build_query_as().fetch_all(tx.connection()).await?;
    Ok(read
        .into_iter()
        .map(|(id, rows)| (id, RowCount::probed(rows)))
        .collect())
}
