//! Tenants, as the operator sees them.

use chrono::{DateTime, Utc};
use tamiz_core::TenantId;

use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A customer.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Unique on the platform.
    pub name: String,
    /// Its own limit for one upload, in bytes.
    pub upload_bytes_max: Option<u64>,
    /// The name of its plan.
    pub plan: String,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

/// Makes a tenant; `None` when the name is taken.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut ControlTx,
    name: &str,
    upload_bytes_max: Option<u64>,
) -> Result<Option<TenantId>, StoreError> {
    let id = TenantId::fresh();
    let made = sqlx::query!(
        "insert into control.tenant (id, name, upload_bytes_max) values ($1, $2, $3)
         on conflict (name) do nothing",
        id.uuid(),
        name,
        upload_bytes_max.and_then(|bytes| i64::try_from(bytes).ok())
    )
    .execute(tx.connection())
    .await?;
    Ok((made.rows_affected() == 1).then_some(id))
}

/// The tenant of that name.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_name(tx: &mut ControlTx, name: &str) -> Result<Option<TenantId>, StoreError> {
    let id = sqlx::query_scalar!("select id from control.tenant where name = $1", name)
        .fetch_optional(tx.connection())
        .await?;
    Ok(id.map(TenantId::from))
}

/// The name of the transaction's own tenant; `None` when it is gone.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn own_name(tx: &mut TenantTx) -> Result<Option<String>, StoreError> {
    let name = sqlx::query_scalar!("select name from control.tenant where id = $1", tx.tenant())
        .fetch_optional(tx.connection())
        .await?;
    Ok(name)
}

/// All tenants by name.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<Tenant>, StoreError> {
    let rows =
        sqlx::query!("select id, name, upload_bytes_max, plan, created_at from control.tenant order by name")
            .fetch_all(tx.connection())
            .await?;
    Ok(rows
        .into_iter()
        .map(|row| Tenant {
            id: row.id.into(),
            name: row.name,
            upload_bytes_max: row.upload_bytes_max.and_then(|bytes| u64::try_from(bytes).ok()),
            plan: row.plan,
            created_at: row.created_at,
        })
        .collect())
}
