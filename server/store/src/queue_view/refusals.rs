//! How often limits said no: to one tenant, to some, to all together.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use tamiz_core::TenantId;
use uuid::Uuid;

use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Refusals that one look reads: a page of tenants with some tens of limits each.
const REFUSALS_MAX: i64 = 10_000;

/// How often a limit said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRefusals {
    /// Which limit; that of one scan type has it in its name, as in `tasks-running.web`.
    pub limit: String,
    /// So often, since it was first counted.
    pub count: i64,
    /// The last time.
    pub refused_at: DateTime<Utc>,
}

/// Which limits said no to the tenant.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn refusals(tx: &mut TenantTx) -> Result<Vec<LimitRefusals>, StoreError> {
    let tenant = tx.tenant();
    let mut refusals = refusals_of(tx.connection(), &[tenant]).await?;
    Ok(refusals.remove(&tenant.into()).unwrap_or_default())
}

/// The same over all tenants.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn all_refusals(tx: &mut ControlTx) -> Result<Vec<LimitRefusals>, StoreError> {
    let rows = sqlx::query_as!(
        LimitRefusals,
        r#"
        select name as "limit", sum(refused_count)::bigint as "count!", max(refused_at) as "refused_at!"
        from control.quota_refusal group by 1 order by 1 limit $1
        "#,
        REFUSALS_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}

/// Which limits said no to the tenants that were refused last, at most `limit` of them, by their names.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn latest_refused(
    tx: &mut ControlTx,
    limit: i64,
) -> Result<Vec<(String, LimitRefusals)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select t.name as tenant, r.name as "limit", r.refused_count, r.refused_at
        from (select tenant_id from control.quota_refusal where refused_count > 0
              group by 1 order by max(refused_at) desc, 1 limit $1) x
        join control.tenant t on t.id = x.tenant_id
        join control.quota_refusal r on r.tenant_id = x.tenant_id
        where r.refused_count > 0 order by 1, 2 limit $2
        "#,
        limit,
        REFUSALS_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    let told = rows.into_iter().map(|row| {
        let refusals = LimitRefusals {
            limit: row.limit,
            count: row.refused_count,
            refused_at: row.refused_at,
        };
        (row.tenant, refusals)
    });
    Ok(told.collect())
}

pub(super) async fn refusals_of(
    connection: &mut PgConnection,
    tenants: &[Uuid],
) -> Result<HashMap<TenantId, Vec<LimitRefusals>>, StoreError> {
    let rows = sqlx::query!(
        "select tenant_id, name, refused_count, refused_at from control.quota_refusal
         where tenant_id = any($1) order by tenant_id, name limit $2",
        tenants,
        REFUSALS_MAX
    )
    .fetch_all(connection)
    .await?;
    let mut refusals: HashMap<TenantId, Vec<LimitRefusals>> = HashMap::new();
    for row in rows {
        refusals
            .entry(row.tenant_id.into())
            .or_default()
            .push(LimitRefusals {
                limit: row.name,
                count: row.refused_count,
                refused_at: row.refused_at,
            });
    }
    Ok(refusals)
}
