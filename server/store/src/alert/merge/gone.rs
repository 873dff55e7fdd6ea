//! What nobody sees any more.
//!
//! Of places, `coalesce(last_seen_at, 'infinity') = 'infinity'` says `is null` where an index of what is there must not be
//! chosen: statistics of a table that was empty make it look as good as the key, and then all of it is read for each
//! alert.

use std::collections::BTreeSet;

use tamiz_core::AlertState;
use tamiz_core::webhook::EventType;
use uuid::Uuid;

use super::{Gone, ROWS_AT_ONCE, Scan};
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
    let places: Vec<(Uuid, Uuid)> = gone.keys().map(|(alert, place)| (alert.uuid(), *place)).collect();
    for part in places.chunks(ROWS_AT_ONCE) {
        leave_places(tx, scope, part).await?;
    }
    let alerts: BTreeSet<Uuid> = places.into_iter().map(|(alert, _)| alert).collect();
    let alerts: Vec<Uuid> = alerts.into_iter().collect();
    let mut fixed = 0;
    for part in alerts.chunks(ROWS_AT_ONCE) {
        leave_scope(tx, scope.id, part).await?;
        fixed += close_some(tx, scan, scope, part, changes).await?;
    }
    Ok(fixed)
}

/// Places that the scope held are gone. Served by the primary key.
async fn leave_places(
    tx: &mut TenantTx,
    scope: &OpenScope,
    places: &[(Uuid, Uuid)],
) -> Result<(), StoreError> {
    let (alerts, places): (Vec<Uuid>, Vec<Uuid>) = places.iter().copied().unzip();
    sqlx::query!(
        r#"
        update tenant.alert_occurrence o set last_seen_at = $5
        from (select o.at from unnest($3::uuid[], $4::uuid[]) x(alert_id, place)
              cross join lateral (
                  select o.ctid as at from tenant.alert_occurrence o
                  where o.tenant_id = $1 and o.scope_id = $2 and o.alert_id = x.alert_id and o.place = x.place
                  limit 1) o
              where coalesce(x.place, x.place) = x.place and greatest(x.place, x.place) = x.place) known
        where o.tenant_id = $1 and o.ctid = known.at
        "#,
        tx.tenant(),
        scope.id,
        &alerts,
        &places,
        scope.scanned_before
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Of these alerts, those that have no place any more are gone; answers how many were fixed.
async fn close_some(
    tx: &mut TenantTx,
    scan: Scan<'_>,
    scope: &OpenScope,
    alerts: &[Uuid],
    changes: &mut Changes,
) -> Result<u32, StoreError> {
    let rows = sqlx::query!(
        r#"
        with gone as materialized (
            select a.at, a.id, a.state, a.severity, a.content_id
            from unnest($2::uuid[]) x(id)
            cross join lateral (
                select a.ctid as at, a.id, a.state, a.severity, a.content_id from tenant.alert a
                where a.tenant_id = $1 and a.id >= x.id and a.id <= x.id and a.last_seen_at is null
                order by a.id limit 1) a
            where (select true from tenant.alert_occurrence o
                   where o.tenant_id = $1 and o.alert_id = a.id and coalesce(o.last_seen_at, 'infinity') = 'infinity'
                   limit 1) is null
              and coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id),
        closed as (
            update tenant.alert a set last_seen_at = $3, state = case when gone.state < 2 then 3 else gone.state end
            from gone where a.tenant_id = $1 and a.ctid = gone.at),
        told as (
            insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id, before, after)
            select $1, gone.id, gen_random_uuid(), 'fixed', $4, jsonb_build_object('state', case gone.state
                       when 0 then 'open' else 'reopened' end), '{"state": "fixed"}'
            from gone where gone.state < 2)
        select state, severity, content_id, count(*)::int as "alerts!", (array_agg(id))[:100] as "some!"
        from gone where state < 2 group by 1, 2, 3
        "#,
        tx.tenant(),
        alerts,
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
            tx.rule_counts.add(scan.project, row.content_id, -row.alerts);
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
        update tenant.alert a set scope_id = known.scope_id
        from (select a.at, o.scope_id from unnest($3::uuid[]) x(id)
              cross join lateral (
                  select a.ctid as at from tenant.alert a
                  where a.tenant_id = $1 and a.id >= x.id and a.id <= x.id and a.scope_id = $2
                  order by a.id limit 1) a
              cross join lateral (
                  select o.scope_id from tenant.alert_occurrence o
                  cross join lateral (
                      select s.scanned_at from tenant.scan_scope s
                      where s.tenant_id = $1 and s.id = o.scope_id limit 1) s
                  where o.tenant_id = $1 and o.alert_id = x.id and coalesce(o.last_seen_at, 'infinity') = 'infinity'
                  order by s.scanned_at desc limit 1) o
              where coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id) known
        where a.tenant_id = $1 and a.ctid = known.at
        "#,
        tx.tenant(),
        scope,
        alerts
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
