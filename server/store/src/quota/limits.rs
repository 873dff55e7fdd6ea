//! The rows of limits, of plans and of tenants, and what claims obey of them.
//!
//! Whoever changes a tenant's limit calls [`hold`] in the same transaction, which copies the limits on running
//! and starting tasks into `control.share`; the functions here do. Of a plan's it is done afterwards, by
//! [`hold_plan`].

use std::collections::HashMap;

use serde_json::{Map, Value};
use sqlx::postgres::PgConnection;
use tamiz_core::TenantId;
use tamiz_core::quota::{EffectiveQuota, QuotaLimit, QuotaSet, WEIGHT_DEFAULT};
use uuid::Uuid;

use crate::connect::Store;
use crate::control_tx::ControlTx;
use crate::error::{StoreError, word};
use crate::tenant_tx::TenantTx;

/// Tenants whose shares one transaction holds: some milliseconds of their claims.
const SHARES_AT_ONCE: usize = 20;

/// The limits of the transaction's own tenant as they hold.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_own_tenant(tx: &mut TenantTx) -> Result<EffectiveQuota, StoreError> {
    let tenant = tx.tenant();
    effective(said(tx.connection(), tenant).await?)
}

/// The limits of any tenant as they hold, and with the answer which of them it has for itself.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tenant(
    tx: &mut ControlTx,
    tenant: TenantId,
) -> Result<(EffectiveQuota, QuotaSet), StoreError> {
    let rows = said(tx.connection(), tenant.uuid()).await?;
    let own = set_of(rows.iter().filter(|row| row.own))?;
    Ok((effective(rows)?, own))
}

/// The limits of these tenants as they hold.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tenants(
    tx: &mut ControlTx,
    tenants: &[TenantId],
) -> Result<HashMap<TenantId, EffectiveQuota>, StoreError> {
    let ids: Vec<Uuid> = tenants.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select tenant_id as "tenant_id!", true as "own!", name as "name!", value as "value!"
        from control.tenant_quota where tenant_id = any($1)
        union all
        select t.id, false, q.name, q.value
        from control.plan_quota q join control.tenant t on t.plan = q.plan where t.id = any($1)
        "#,
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    let mut said: HashMap<TenantId, Vec<LimitRow>> = HashMap::new();
    for row in rows {
        let limit = LimitRow {
            own: row.own,
            name: row.name,
            value: row.value,
        };
        said.entry(row.tenant_id.into()).or_default().push(limit);
    }
    let limits = tenants.iter().map(|id| {
        let rows = said.remove(id).unwrap_or_default();
        Ok((*id, effective(rows)?))
    });
    limits.collect()
}

/// The limits that the plan of the transaction's own tenant says.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_own_plan(tx: &mut TenantTx) -> Result<QuotaSet, StoreError> {
    let rows = sqlx::query_as!(
        LimitRow,
        r#"
        select false as "own!", q.name, q.value
        from control.plan_quota q join control.tenant t on t.plan = q.plan where t.id = $1
        "#,
        tx.tenant()
    )
    .fetch_all(tx.connection())
    .await?;
    set_of(rows.iter())
}

/// The limits that each plan says; those that say none are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_plans(tx: &mut ControlTx) -> Result<HashMap<String, QuotaSet>, StoreError> {
    let rows = sqlx::query!("select plan, name, value from control.plan_quota order by plan, name")
        .fetch_all(tx.connection())
        .await?;
    let mut plans: HashMap<String, QuotaSet> = HashMap::new();
    for row in rows {
        let name = word("limit", &row.name)?;
        let value = Some(row.value.cast_unsigned());
        plans.entry(row.plan).or_default().say(name, value);
    }
    Ok(plans)
}

/// What is said for a tenant: by itself, and by its plan.
async fn said(connection: &mut PgConnection, tenant: Uuid) -> Result<Vec<LimitRow>, StoreError> {
    let rows = sqlx::query_as!(
        LimitRow,
        r#"
        select true as "own!", name as "name!", value as "value!" from control.tenant_quota where tenant_id = $1
        union all
        select false, q.name, q.value
        from control.plan_quota q join control.tenant t on t.plan = q.plan where t.id = $1
        "#,
        tenant
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The limits that a plan says.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_plan(tx: &mut ControlTx, plan: &str) -> Result<QuotaSet, StoreError> {
    let rows = sqlx::query_as!(
        LimitRow,
        r#"select false as "own!", name, value from control.plan_quota where plan = $1"#,
        plan
    )
    .fetch_all(tx.connection())
    .await?;
    set_of(rows.iter())
}

/// Gives a plan that is there these limits and no others. What claims obey follows by [`hold_plan`], after the
/// commit.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn say_for_plan(tx: &mut ControlTx, plan: &str, said: &QuotaSet) -> Result<(), StoreError> {
    let (names, values) = columns(said);
    sqlx::query!("delete from control.plan_quota where plan = $1", plan)
        .execute(tx.connection())
        .await?;
    sqlx::query!(
        "insert into control.plan_quota (plan, name, value)
         select $1, name, value from unnest($2::text[], $3::bigint[]) said(name, value)",
        plan,
        &names,
        &values
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Tells the claims what holds for the tenants of a plan, a few in a transaction: a share that is held stops its
/// tenant's claims. Broken off, it is to be done again.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn hold_plan(store: &Store, plan: &str) -> Result<(), StoreError> {
    let tenants = sqlx::query_scalar!("select id from control.tenant where plan = $1 order by id", plan)
        .fetch_all(&store.control)
        .await?;
    let tenants: Vec<TenantId> = tenants.into_iter().map(TenantId::from).collect();
    for some in tenants.chunks(SHARES_AT_ONCE) {
        let mut tx = store.begin_control().await?;
        hold(&mut tx, some).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Gives a tenant these limits for itself and no others.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn say_for_tenant(tx: &mut ControlTx, tenant: TenantId, said: &QuotaSet) -> Result<(), StoreError> {
    let (names, values) = columns(said);
    sqlx::query!(
        "delete from control.tenant_quota where tenant_id = $1",
        tenant.uuid()
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        "insert into control.tenant_quota (tenant_id, name, value)
         select $1, name, value from unnest($2::text[], $3::bigint[]) said(name, value)",
        tenant.uuid(),
        &names,
        &values
    )
    .execute(tx.connection())
    .await?;
    hold(tx, &[tenant]).await
}

/// Tells the claims what holds for these tenants now, in the order of their ids.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn hold(tx: &mut ControlTx, tenants: &[TenantId]) -> Result<(), StoreError> {
    let mut tenants: Vec<Uuid> = tenants.iter().map(|id| id.uuid()).collect();
    tenants.sort_unstable();
    for tenant in tenants {
        let (limits, _) = of_tenant(tx, tenant.into()).await?;
        let count = |limit| limits.value(limit).and_then(|value| i32::try_from(value).ok());
        let types: Map<String, Value> = limits
            .running_of_types()
            .map(|(scan_type, value)| (scan_type.to_string(), Value::from(value)))
            .collect();
        sqlx::query!(
            "select control.set_share($1, $2, $3, $4, $5, $6)",
            tenant,
            weight(limits.value(QuotaLimit::Weight)),
            count(QuotaLimit::TasksRunning),
            Value::Object(types),
            count(QuotaLimit::TasksPerHour),
            count(QuotaLimit::TasksPerDay)
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}

/// A share has the weight 1 where a limit has [`WEIGHT_DEFAULT`].
#[expect(
    clippy::cast_precision_loss,
    reason = "weights are below 10,000, which is exact"
)]
fn weight(said: Option<u64>) -> f32 {
    said.unwrap_or(WEIGHT_DEFAULT) as f32 / WEIGHT_DEFAULT as f32
}

struct LimitRow {
    own: bool,
    name: String,
    value: i64,
}

fn effective(rows: Vec<LimitRow>) -> Result<EffectiveQuota, StoreError> {
    let (own, plan): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.own);
    Ok(EffectiveQuota::of(&set_of(own.iter())?, &set_of(plan.iter())?))
}

fn set_of<'a>(rows: impl Iterator<Item = &'a LimitRow>) -> Result<QuotaSet, StoreError> {
    let mut set = QuotaSet::default();
    for row in rows {
        set.say(word("limit", &row.name)?, Some(row.value.cast_unsigned()));
    }
    Ok(set)
}

fn columns(said: &QuotaSet) -> (Vec<String>, Vec<i64>) {
    said.said()
        .map(|(name, value)| (name.to_string(), value.cast_signed()))
        .unzip()
}
