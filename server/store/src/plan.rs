//! Plans: what the plugins of a tenant may use up.
//!
//! A plan is a name and limits; a limit that it does not say is the platform's. Every tenant has one,
//! `standard` unless an operator said otherwise.
//!
//! Not here: the limits of one plugin (see [`crate::plugin`]), which limit is the smallest (core), and what
//! else the tenants of a plan may use (see [`crate::quota::limits`]).

use tamiz_core::TenantId;
use tamiz_core::plugin::LimitSet;

use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::plugin::LimitColumns;
use crate::quota::limits;
use crate::tenant_tx::TenantTx;

/// The plan that a tenant has when nobody says another; the migration makes it.
pub const STANDARD: &str = "standard";
/// Plans read at once: an operator has a handful.
pub const PLANS_MAX: i64 = 1_000;

/// A name and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Unique on the platform.
    pub name: String,
    /// Those that it says.
    pub limits: LimitSet,
}

/// As it is read.
struct PlanRow {
    name: String,
    memory_bytes: Option<i64>,
    deadline_seconds: Option<i64>,
    findings_max: Option<i64>,
    finding_bytes_max: Option<i64>,
    artifact_bytes_max: Option<i64>,
    log_lines_max: Option<i64>,
    instances_max: Option<i64>,
}

impl From<PlanRow> for Plan {
    fn from(row: PlanRow) -> Self {
        let limits = LimitColumns {
            memory_bytes: row.memory_bytes,
            deadline_seconds: row.deadline_seconds,
            findings_max: row.findings_max,
            finding_bytes_max: row.finding_bytes_max,
            artifact_bytes_max: row.artifact_bytes_max,
            log_lines_max: row.log_lines_max,
            instances_max: row.instances_max,
        };
        Self {
            name: row.name,
            limits: limits.into(),
        }
    }
}

/// The plan of the transaction's own tenant. A tenant that is gone meanwhile has the plan [`STANDARD`]
/// without limits.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tenant(tx: &mut TenantTx) -> Result<Plan, StoreError> {
    let row = sqlx::query_as!(
        PlanRow,
        r#"
        select p.name, p.memory_bytes, p.deadline_seconds, p.findings_max, p.finding_bytes_max,
               p.artifact_bytes_max, p.log_lines_max, p.instances_max
        from control.plan p join control.tenant t on t.plan = p.name where t.id = $1
        "#,
        tx.tenant()
    )
    .fetch_optional(tx.connection())
    .await?;
    let standard = || Plan {
        name: STANDARD.to_owned(),
        limits: LimitSet::NONE,
    };
    Ok(row.map_or_else(standard, Plan::from))
}

/// All plans by name, at most [`PLANS_MAX`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<Plan>, StoreError> {
    let rows = sqlx::query_as!(
        PlanRow,
        r#"
        select name, memory_bytes, deadline_seconds, findings_max, finding_bytes_max,
               artifact_bytes_max, log_lines_max, instances_max
        from control.plan order by name limit $1
        "#,
        PLANS_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(Plan::from).collect())
}

/// Makes the plan, or gives it other limits. The name was checked by the caller: lower-case letters,
/// digits and hyphens, at most 40.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn put(tx: &mut ControlTx, plan: &Plan) -> Result<(), StoreError> {
    let limits = LimitColumns::from(plan.limits);
    sqlx::query!(
        r#"
        insert into control.plan (name, memory_bytes, deadline_seconds, findings_max, finding_bytes_max,
                                  artifact_bytes_max, log_lines_max, instances_max)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (name) do update set
            memory_bytes = excluded.memory_bytes, deadline_seconds = excluded.deadline_seconds,
            findings_max = excluded.findings_max, finding_bytes_max = excluded.finding_bytes_max,
            artifact_bytes_max = excluded.artifact_bytes_max, log_lines_max = excluded.log_lines_max,
            instances_max = excluded.instances_max
        "#,
        plan.name,
        limits.memory_bytes,
        limits.deadline_seconds,
        limits.findings_max,
        limits.finding_bytes_max,
        limits.artifact_bytes_max,
        limits.log_lines_max,
        limits.instances_max
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Puts a tenant on a plan; `false` when there is no such plan or tenant.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn assign(tx: &mut ControlTx, tenant: TenantId, plan: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update control.tenant set plan = p.name from control.plan p where tenant.id = $1 and p.name = $2",
        tenant.uuid(),
        plan
    )
    .execute(tx.connection())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    limits::hold(tx, &[tenant]).await?;
    Ok(true)
}
