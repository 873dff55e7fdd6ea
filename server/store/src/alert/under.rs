//! How many alerts there are under a filter, and which.

use std::collections::HashMap;

use sqlx::{Postgres, QueryBuilder};
use tamiz_core::{AlertId, AlertState, ProjectId};
use uuid::Uuid;

use super::filter::AlertFilter;
use crate::error::StoreError;
use crate::row_count::{PROBED, RowCount};
use crate::tenant_tx::TenantTx;

/// How many alerts each project has under `filter`; a project without any may be left out.
///
/// By state and severity alone the counters know it exactly: a handful of rows. Under other filters alerts are read,
/// served by `alert_present_idx` and `alert_gone_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts_under(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    filter: &AlertFilter,
) -> Result<HashMap<ProjectId, RowCount>, StoreError> {
    let (tenant, ids) = (
        tx.tenant(),
        projects.iter().map(|id| id.uuid()).collect::<Vec<_>>(),
    );
    let mut query;
    let counted: fn(i64) -> RowCount;
    if filter.is_counted() {
        query = QueryBuilder::<Postgres>::new("select a.project_id, sum(a.alerts) from tenant.alert_count a");
        query.push(" where a.project_id = any(").push_bind(ids).push(")");
        push_conditions(&mut query, tenant, filter);
        query.push(" group by a.project_id");
        counted = RowCount::exactly;
    } else {
        query = QueryBuilder::new("select p.id, c.rows from unnest(");
        query.push_bind(ids);
        query.push("::uuid[]) p(id) cross join lateral (select count(*) as rows from (select");
        push_alerts(&mut query, filter);
        query.push(" where a.project_id = p.id");
        push_conditions(&mut query, tenant, filter);
        query.push(" limit ").push_bind(PROBED).push(") a) c");
        counted = RowCount::probed;
    }
    let counts: Vec<(Uuid, i64)> = query.build_query_as().fetch_all(tx.connection()).await?;
    Ok(counts
        .into_iter()
        .map(|(id, rows)| (id.into(), counted(rows)))
        .collect())
}

/// The alerts of the project under `filter`, in no order, at most `most`.
///
/// Served by `alert_present_idx` and `alert_gone_idx`; what they do not know is looked at row by row.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn ids_under(
    tx: &mut TenantTx,
    project: ProjectId,
    filter: &AlertFilter,
    most: i64,
) -> Result<Vec<AlertId>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new("select a.id");
    push_alerts(&mut query, filter);
    query.push(" where a.project_id = ").push_bind(project.uuid());
    push_conditions(&mut query, tx.tenant(), filter);
    query.push(" limit ").push_bind(most);
    let ids: Vec<(Uuid,)> = query.build_query_as().fetch_all(tx.connection()).await?;
    Ok(ids.into_iter().map(|(id,)| id.into()).collect())
}

/// All of them are read, so that reading contents whole may be better than one by one.
fn push_alerts(query: &mut QueryBuilder<Postgres>, filter: &AlertFilter) {
    query.push(" from tenant.alert a");
    if filter.asks_of_content() {
        query.push(
            " join tenant.finding_content c on c.tenant_id = a.tenant_id and c.project_id = a.project_id \
             and c.id = a.content_id",
        );
    }
    if filter.asks_of_scope() {
        query.push(" join tenant.scan_scope s on s.tenant_id = a.tenant_id and s.id = a.scope_id");
    }
}

fn push_conditions(query: &mut QueryBuilder<Postgres>, tenant: Uuid, filter: &AlertFilter) {
    let wanted: Vec<i16> = filter.wanted().into_iter().map(AlertState::rank).collect();
    query.push(" and a.tenant_id = ").push_bind(tenant);
    query.push(" and a.state = any(").push_bind(wanted);
    query
        .push(") and a.severity = any(")
        .push_bind(filter.severity_ranks())
        .push(")");
    if !filter.is_counted() {
        filter.push_scope(query);
        filter.push_conditions(query);
    }
}
