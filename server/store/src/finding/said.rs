//! What findings say, read once for all findings that say it: scans of one project repeat themselves.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::content_row::{self, ContentRow};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::unparsed::Unparsed;
use crate::weight;

/// What a finding says.
#[derive(Debug, Clone, FromRow)]
pub struct Said {
    /// What alerts show, too.
    #[sqlx(flatten)]
    pub content: ContentRow,
    /// The tool's own identity for the result.
    pub tool_fingerprint: Option<String>,
    /// Anything else.
    pub extra: Unparsed<serde_json::Value>,
}

/// Its columns, of a query that calls contents `c`.
pub(super) fn push_columns(query: &mut QueryBuilder<Postgres>) {
    query
        .push("c.tool_fingerprint, c.extra, ")
        .push(content_row::COLUMNS);
}

/// Project and id: what names a content within its tenant.
pub(super) type ContentKey = (Uuid, Uuid);

#[derive(FromRow)]
struct Keyed {
    project_id: Uuid,
    id: Uuid,
    #[sqlx(flatten)]
    said: Said,
}

/// What these contents say; those that are gone are left out.
///
/// Served by the primary key of `finding_content`, by which each is looked up.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub(super) async fn said_by(
    tx: &mut TenantTx,
    keys: HashSet<ContentKey>,
) -> Result<HashMap<ContentKey, Arc<Said>>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let (projects, ids): (Vec<Uuid>, Vec<Uuid>) = keys.into_iter().unzip();
    let mut query = QueryBuilder::new("select c.project_id, c.id, ");
    push_columns(&mut query);
    query
        .push(" from unnest(")
        .push_bind(projects)
        .push("::uuid[], ")
        .push_bind(ids)
        .push(
            "::uuid[]) wanted(project_id, id) cross join lateral (select * from tenant.finding_content c \
             where c.tenant_id = ",
        )
        .push_bind(tx.tenant())
        .push(" and c.project_id = wanted.project_id and c.id = wanted.id limit 1) c");
    let allowance = tx.allowance();
    let rows = query.build_query_as::<Keyed>().fetch(tx.connection());
    let rows = allowance.collect(rows, |row| weight::of_said(&row.said)).await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.project_id, row.id), Arc::new(row.said)))
        .collect())
}
