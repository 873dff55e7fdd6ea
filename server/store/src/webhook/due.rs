//! Which deliveries are due, over all tenants.

use std::collections::HashMap;
use std::time::Duration;

use tamiz_core::{TenantId, WebhookEndpointId, WebhookMessageId};
use uuid::Uuid;

use crate::connect::Store;
use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::scope::TenantScope;

/// Waiting deliveries are counted up to here.
const COUNTED_MAX: i64 = 100_000;

/// A due delivery that is this process's for a while.
#[derive(Debug, Clone, Copy)]
pub struct DueDelivery {
    /// The right to its tenant's rows.
    pub scope: TenantScope,
    /// To where.
    pub endpoint: WebhookEndpointId,
    /// Of what.
    pub message: WebhookMessageId,
}

/// How many deliveries may be taken.
#[derive(Debug)]
pub struct Room<'a> {
    /// Of all tenants.
    pub whole: usize,
    /// Of one tenant, less what it has running.
    pub of_one_tenant: usize,
    /// What runs here.
    pub running: &'a HashMap<TenantId, usize>,
}

impl Store {
    /// Takes deliveries that are due as far as there is `room`, of each tenant the longest due and of all tenants in
    /// turn. Whoever takes them has `hold` to send them; then somebody else may.
    ///
    /// Served by `webhook_due_idx`, which is skipped through tenant by tenant; locked rows are skipped.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn due_webhooks(
        &self,
        room: &Room<'_>,
        hold: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let busy: Vec<Uuid> = room.running.keys().map(|tenant| tenant.uuid()).collect();
        let left = room.running.values();
        let left: Vec<i64> = left
            .map(|running| as_i64(room.of_one_tenant.saturating_sub(*running)))
            .collect();
        let rows = sqlx::query!(
            r#"
            with recursive waiting(tenant_id) as (
                (select tenant_id from control.webhook_due order by tenant_id limit 1)
                union all
                select (select d.tenant_id from control.webhook_due d where d.tenant_id > w.tenant_id
                        order by d.tenant_id limit 1)
                from waiting w where w.tenant_id is not null),
            due as materialized (
                select d.tenant_id, d.endpoint_id, d.message_id,
                       row_number() over (partition by d.tenant_id order by d.due_at) as place
                from waiting w
                left join unnest($3::uuid[], $4::bigint[]) busy(tenant_id, places) on busy.tenant_id = w.tenant_id
                cross join lateral (
                    select d.tenant_id, d.endpoint_id, d.message_id, d.due_at from control.webhook_due d
                    where d.tenant_id = w.tenant_id and d.due_at <= now()
                      and (d.leased_until is null or d.leased_until < now())
                    order by d.due_at limit coalesce(busy.places, $2) for update skip locked) d
                where w.tenant_id is not null),
            taken as materialized (select * from due order by place, random() limit $1)
            update control.webhook_due d set leased_until = now() + make_interval(secs => $5)
            from taken t
            where d.tenant_id = t.tenant_id and d.endpoint_id = t.endpoint_id and d.message_id = t.message_id
            returning d.tenant_id, d.endpoint_id, d.message_id
            "#,
            as_i64(room.whole),
            as_i64(room.of_one_tenant),
            &busy,
            &left,
            hold.as_secs_f64()
        )
        .fetch_all(&self.dispatch)
        .await?;
        let due = rows.into_iter().map(|row| DueDelivery {
            scope: TenantScope::of(row.tenant_id.into()),
            endpoint: row.endpoint_id.into(),
            message: row.message_id.into(),
        });
        Ok(due.collect())
    }
}

fn as_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many deliveries of all tenants wait, counted up to a hundred thousand.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn waiting(tx: &mut ControlTx) -> Result<i64, StoreError> {
    let waiting = sqlx::query_scalar!(
        r#"select count(*) as "waiting!" from (select from control.webhook_due limit $1) due"#,
        COUNTED_MAX
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(waiting)
}
