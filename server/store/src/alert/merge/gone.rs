//! What nobody sees any more.

use tamiz_core::AlertState;
use tamiz_core::webhook::EventType;
use uuid::Uuid;

use super::{Gone, Scan};
use crate::alert::count::Changes;
use crate::alert::scope::OpenScope;
use crate::alert::standing_of;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::webhook::outbox::By;

/// Places that the scope held are gone, and with its last place an alert is: it is fixed, unless it was dismissed.
/// Answers how many were fixed.
pub(super) async fn close(
    tx: &mut TenantTx,
    scan: Scan<'_>,
    scope: &OpenScope,
    gone: &Gone,
    changes: &mut Changes,
) -> Result<u32, StoreError> {
    if gone.is_empty() {
        return Ok(0);
    }
    let (alerts, places): (Vec<Uuid>, Vec<Uuid>) =
        gone.keys().map(|(alert, place)| (alert.uuid(), *place)).unzip();
    sqlx::query!(
        r#"
        update tenant.alert_occurrence o set last_seen_at = $5
        from unnest($3::uuid[], $4::uuid[]) x(alert_id, place)
        where o.tenant_id = $1 and o.scope_id = $2 and o.alert_id = x.alert_id and o.place = x.place
        "#,
        tx.tenant(),
        scope.id,
        &alerts,
        &places,
        scope.scanned_before
    )
    .execute(tx.connection())
    .await?;
    leave_scope(tx, scope.id, &alerts).await?;
    let rows = sqlx::query!(
        r#"
        with gone as materialized (
            select a.id, a.state, a.severity
            from (select distinct * from unnest($2::uuid[]) x(id)) x
            join tenant.alert a on a.tenant_id = $1 and a.id = x.id
            where a.last_seen_at is null
              and not exists (select from tenant.alert_occurrence o
                              where o.tenant_id = $1 and o.alert_id = a.id and o.last_seen_at is null)),
        closed as (
            update tenant.alert a set last_seen_at = $3, state = case when gone.state < 2 then 3 else gone.state end
            from gone where a.tenant_id = $1 and a.id = gone.id),
        told as (
            insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id, before, after)
            select $1, gone.id, gen_random_uuid(), 'fixed', $4, jsonb_build_object('state', case gone.state
                       when 0 then 'open' else 'reopened' end), '{"state": "fixed"}'
            from gone where gone.state < 2)
        select state, severity, count(*)::int as "alerts!", (array_agg(id))[:100] as "some!" from gone group by 1, 2
        "#,
        tx.tenant(),
        &alerts,
        scope.scanned_before,
        scan.task.uuid()
    )
    .fetch_all(tx.connection())
    .await?;
    let mut fixed = 0;
    for row in rows {
        let (state, severity) = standing_of(row.state, row.severity)?;
        if state.is_open() {
            changes.add(Some((state, severity)), (AlertState::Fixed, severity), row.alerts);
            fixed += row.alerts;
            let count = u64::try_from(row.alerts).unwrap_or(0);
            let some = row.some.into_iter().map(|id| (severity, id.into()));
            let by = By::Task(scan.task);
            tx.outbox
                .add(scan.project, EventType::AlertFixed, &by, count, some);
        }
    }
    Ok(u32::try_from(fixed).unwrap_or(0))
}

/// Alerts that another scope still holds are listed as seen by that one.
async fn leave_scope(tx: &mut TenantTx, scope: Uuid, alerts: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        update tenant.alert a set scope_id = o.scope_id
        from (select distinct * from unnest($3::uuid[]) x(id)) x
        cross join lateral (
            select o.scope_id from tenant.alert_occurrence o join tenant.scan_scope s
                on s.tenant_id = o.tenant_id and s.id = o.scope_id
            where o.tenant_id = $1 and o.alert_id = x.id and o.last_seen_at is null
            order by s.scanned_at desc limit 1) o
        where a.tenant_id = $1 and a.id = x.id and a.scope_id = $2
        "#,
        tx.tenant(),
        scope,
        alerts
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
