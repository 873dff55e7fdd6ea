//! Pages of findings for many tasks or projects at once: one statement however many there are.
//!
//! Each parent's page is read by its own index range (a lateral join), so the cost is that of the
//! single pages without their round trips.

use std::collections::HashMap;

use sqlx::{Postgres, QueryBuilder};
use tamiz_core::{ProjectId, TaskId};
use uuid::Uuid;

use super::read::{
    FindingFilter, FindingOrder, FindingPosition, FindingRow, conditions, push_columns, push_window,
};
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use crate::weight;

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

    fn of(&self, row: &FindingRow) -> Uuid {
        match self {
            Self::Projects(_) => row.project_id,
            Self::Tasks(_) => row.task_id,
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
        .push("::uuid[]) parent(parent_id) cross join lateral (select ");
    push_columns(query);
    query.push(order.read_from());
    conditions(query, tenant, filter);
    query
        .push(" and ")
        .push(parents.column())
        .push(" = parent.parent_id");
    push_window(query, order, window);
    query.push(") f order by ").push(order.outer_columns());
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
    let rows = query.build_query_as::<FindingRow>().fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_finding).await?;
    let rows = rows.into_iter().map(|row| (parents.of(&row), row));
    Ok(Page::between_each(rows, window))
}

/// How many findings each parent has under `filter`; a parent without any is left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts_of(
    tx: &mut TenantTx,
    parents: &FindingParents,
    filter: &FindingFilter,
) -> Result<HashMap<Uuid, i64>, StoreError> {
    let column = parents.column();
    let mut query = QueryBuilder::<Postgres>::new("select ");
    query.push(column).push(", count(*)").push(filter.counted_from());
    conditions(&mut query, tx.tenant(), filter);
    query
        .push(" and ")
        .push(column)
        .push(" = any(")
        .push_bind(parents.ids())
        .push(") group by ")
        .push(column);
    let counts: Vec<(Uuid, i64)> = query.build_query_as().fetch_all(tx.connection()).await?;
    Ok(counts.into_iter().collect())
}
