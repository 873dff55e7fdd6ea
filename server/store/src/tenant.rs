//! Tenants, as the operator sees them.

use chrono::{DateTime, Utc};
use tamiz_core::TenantId;
use tamiz_core::quota::{QuotaLimit, QuotaSet};

use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::quota::limits;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// A customer.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Unique on the platform.
    pub name: String,
    /// The name of its plan.
    pub plan: String,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

/// Makes a tenant on the plan [`crate::plan::STANDARD`], with its own limit for one upload if that is said;
/// `None` when the name is taken.
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
        "insert into control.tenant (id, name) values ($1, $2) on conflict (name) do nothing",
        id.uuid(),
        name
    )
    .execute(tx.connection())
    .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query!("insert into control.meter (tenant_id) values ($1)", id.uuid())
        .execute(tx.connection())
        .await?;
    sqlx::query!("insert into control.storage (tenant_id) values ($1)", id.uuid())
        .execute(tx.connection())
        .await?;
    let mut own = QuotaSet::default();
    own.say(QuotaLimit::UploadBytes.into(), upload_bytes_max);
    limits::say_for_tenant(tx, id, &own).await?;
    Ok(Some(id))
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

/// The right to the rows of the tenant of that name, for commands by which the operator acts in its place.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn scope(tx: &mut ControlTx, name: &str) -> Result<Option<TenantScope>, StoreError> {
    Ok(by_name(tx, name).await?.map(TenantScope::of))
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

/// The transaction's own tenant; `None` when it is gone.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn own(tx: &mut TenantTx) -> Result<Option<Tenant>, StoreError> {
    let row = sqlx::query!(
        "select id, name, plan, created_at from control.tenant where id = $1",
        tx.tenant()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| Tenant {
        id: row.id.into(),
        name: row.name,
        plan: row.plan,
        created_at: row.created_at,
    }))
}

/// A page of all tenants by name.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(tx: &mut ControlTx, window: &Window<String>) -> Result<Page<Tenant>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select id as "id!", name as "name!", plan as "plan!", created_at as "created_at!" from (
            (select * from control.tenant
             where ($1::text is null or name > $1) and ($2::text is null or name < $2) and not $4
             order by name limit $3)
            union all
            (select * from control.tenant
             where ($1::text is null or name > $1) and ($2::text is null or name < $2) and $4
             order by name desc limit $3)) t
        order by name
        "#,
        window.after.as_deref(),
        window.before.as_deref(),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let tenants = rows.into_iter().map(|row| Tenant {
        id: row.id.into(),
        name: row.name,
        plan: row.plan,
        created_at: row.created_at,
    });
    Ok(Page::between(tenants.collect(), window))
}

/// All tenants by name.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<Tenant>, StoreError> {
    let rows = sqlx::query!("select id, name, plan, created_at from control.tenant order by name")
        .fetch_all(tx.connection())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Tenant {
            id: row.id.into(),
            name: row.name,
            plan: row.plan,
            created_at: row.created_at,
        })
        .collect())
}
