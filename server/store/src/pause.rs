//! Pauses: what waits is held back, of everybody or of one tenant, of all scan types or of one. What runs
//! goes on.
//!
//! A tenant's own pause and the operator's of that tenant are two: each takes back its own only, and both may hold
//! the same tickets. Row-level security holds the tenant to that, too.
//!
//! Written by functions of the queue (`migrations/control/0014_queue_life.sql`), which hold back the lanes, too. They
//! come last in a transaction: they hold the tenant's lanes until it ends.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use tamiz_core::{ScanType, TenantId};
use uuid::Uuid;

use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A reason, in characters.
pub const REASON_CHARACTERS_MAX: usize = 500;
/// Pauses that are read at once: one per tenant and scan type that is paused.
const PAUSES_MAX: i64 = 10_000;

/// Something that is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Whose; everybody's if none.
    pub tenant: Option<Uuid>,
    /// The tenant's name, for the operator.
    pub tenant_name: Option<String>,
    /// Of which scan type; of all if none.
    pub scan_type: Option<String>,
    /// For people.
    pub reason: String,
    /// Who paused it.
    pub by: String,
    /// The operator did; the tenant cannot take it back.
    pub by_operator: bool,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl Pause {
    /// Whether it holds back tasks of that type.
    pub fn holds(&self, scan_type: &ScanType) -> bool {
        self.scan_type
            .as_deref()
            .is_none_or(|word| word == scan_type.as_str())
    }
}

/// Holds back a scan type of the transaction's tenant, or all of them. `false` when it is held back already.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn pause_own(
    tx: &mut TenantTx,
    scan_type: Option<&ScanType>,
    reason: &str,
    by: &str,
) -> Result<bool, StoreError> {
    let tenant = tx.tenant();
    let what = (Some(tenant), scan_type);
    pause(tx.connection(), what, reason, by, false).await
}

/// Takes such a pause of the tenant's own back; one of the operator stays. `false` when there was none.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn resume_own(tx: &mut TenantTx, scan_type: Option<&ScanType>) -> Result<bool, StoreError> {
    let tenant = tx.tenant();
    let gone = resume(tx.connection(), Some(tenant), scan_type, false).await?;
    // as many as wake everybody with room
    tx.will_signal_tickets(None, u32::MAX);
    Ok(gone)
}

/// Holds back a tenant (none: everybody) and a scan type (none: all) for the operator. `false` when the operator
/// does already.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn pause_any(
    tx: &mut ControlTx,
    tenant: Option<TenantId>,
    scan_type: Option<&ScanType>,
    reason: &str,
    by: &str,
) -> Result<bool, StoreError> {
    let what = (tenant.map(TenantId::uuid), scan_type);
    pause(tx.connection(), what, reason, by, true).await
}

/// Takes such a pause of the operator back; one of the tenant stays.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn resume_any(
    tx: &mut ControlTx,
    tenant: Option<TenantId>,
    scan_type: Option<&ScanType>,
) -> Result<bool, StoreError> {
    let gone = resume(tx.connection(), tenant.map(TenantId::uuid), scan_type, true).await?;
    tx.will_wake_workers();
    Ok(gone)
}

async fn pause(
    connection: &mut PgConnection,
    (tenant, scan_type): (Option<Uuid>, Option<&ScanType>),
    reason: &str,
    by: &str,
    by_operator: bool,
) -> Result<bool, StoreError> {
    let fresh = sqlx::query_scalar!(
        r#"select control.queue_pause($1, $2, $3, $4, $5) as "fresh!""#,
        tenant,
        scan_type.map(ScanType::as_str),
        reason,
        by,
        by_operator
    )
    .fetch_one(connection)
    .await?;
    Ok(fresh)
}

async fn resume(
    connection: &mut PgConnection,
    tenant: Option<Uuid>,
    scan_type: Option<&ScanType>,
    by_operator: bool,
) -> Result<bool, StoreError> {
    let gone = sqlx::query_scalar!(
        r#"select control.queue_resume($1, $2, $3) as "gone!""#,
        tenant,
        scan_type.map(ScanType::as_str),
        by_operator
    )
    .fetch_one(connection)
    .await?;
    Ok(gone)
}

/// What holds back the tenant's tasks: pauses of everybody, the operator's of this tenant, its own.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tenant(tx: &mut TenantTx) -> Result<Vec<Pause>, StoreError> {
    let rows = sqlx::query_as!(
        Pause,
        r#"
        select tenant_id as "tenant?", null::text as tenant_name, scan_type, reason, paused_by as by, by_operator,
               paused_at as since
        from control.pause where tenant_id = $1 or tenant_id is null
        order by tenant_id nulls first, by_operator desc, scan_type nulls first limit $2
        "#,
        tx.tenant(),
        PAUSES_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}

/// All pauses, those of everybody first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<Pause>, StoreError> {
    let rows = sqlx::query_as!(
        Pause,
        r#"
        select p.tenant_id as "tenant?", t.name as "tenant_name?", p.scan_type, p.reason, p.paused_by as by, p.by_operator,
               p.paused_at as since
        from control.pause p left join control.tenant t on t.id = p.tenant_id
        order by p.tenant_id is not null, t.name, p.by_operator desc, p.scan_type nulls first limit $1
        "#,
        PAUSES_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}
