//! Accepted risks that end soon are told, once per acceptance.
//!
//! That it was told is noted beside the alert and not in it: nobody's import waits for this sweep.

use tamiz_core::webhook::{EXPIRING_DAYS, EventType};
use tamiz_core::{AlertId, ProjectId, Severity};

use super::outbox::By;
use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Alerts of one project that one message tells.
const ALERTS_AT_ONCE: i64 = 5_000;
/// Alerts that one call tells before it leaves the rest to the next.
const ALERTS_PER_CALL: u64 = 20_000;

impl Store {
    /// Tells of acceptances that end within a week, if an endpoint wants it; answers how many.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was told and some tenant's could not be.
    pub async fn tell_expiring_acceptances(&self) -> Result<u64, StoreError> {
        let failing = "ends of acceptances are not told";
        self.round(ALERTS_PER_CALL, failing, |store, scope| async move {
            tell(&store, &scope).await
        })
        .await
    }
}

/// One batch of a tenant: the alerts of the project whose acceptance ends first. Served by `alert_expiry_idx`.
async fn tell(store: &Store, scope: &TenantScope) -> Result<u64, StoreError> {
    let mut tx = store.begin(scope).await?;
    let event = EventType::AcceptanceExpiring;
    let wants = sqlx::query_scalar!(
        r#"select exists (select from tenant.webhook_endpoint
                          where tenant_id = $1 and disabled_at is null and $2 = any(events)) as "wants!""#,
        tx.tenant(),
        event.as_str()
    )
    .fetch_one(tx.connection())
    .await?;
    if !wants {
        return Ok(0);
    }
    let Some(project) = next_project(&mut tx).await? else {
        return Ok(0);
    };
    // of two processes the second waits for the first one's notes, finds them, and tells nothing
    let rows = sqlx::query!(
        r#"
        with soon as materialized (
            select a.id, a.severity, a.dismissed_until from tenant.alert a
            where a.tenant_id = $1 and a.project_id = $2 and a.dismissed_until > now()
              and a.dismissed_until <= now() + make_interval(days => $3) and a.state = 2
              and not exists (select from tenant.webhook_expiry_told t
                              where t.tenant_id = $1 and t.alert_id = a.id
                                and t.dismissed_until = a.dismissed_until)
            order by a.dismissed_until limit $4),
        told as (
            insert into tenant.webhook_expiry_told as t (tenant_id, alert_id, dismissed_until)
            select $1, id, dismissed_until from soon order by id
            on conflict (tenant_id, alert_id) do update set dismissed_until = excluded.dismissed_until
            where t.dismissed_until <> excluded.dismissed_until
            returning alert_id)
        select soon.id, soon.severity from soon join told on told.alert_id = soon.id
        "#,
        tx.tenant(),
        project.uuid(),
        EXPIRING_DAYS,
        ALERTS_AT_ONCE
    )
    .fetch_all(tx.connection())
    .await?;
    let alerts = rows.iter().filter_map(|row| {
        let severity = Severity::from_rank(row.severity)?;
        Some((severity, AlertId::from(row.id)))
    });
    let count = rows.len() as u64;
    tx.outbox.note_wanted(project, &[event.as_str().to_owned()]);
    tx.outbox.add(project, event, &By::Nobody, count, alerts);
    tx.commit().await?;
    Ok(count)
}

/// The project whose acceptance ends first, of those that are to be told and have not been.
async fn next_project(tx: &mut TenantTx) -> Result<Option<ProjectId>, StoreError> {
    let project = sqlx::query_scalar!(
        r#"
        select a.project_id from tenant.alert a
        where a.tenant_id = $1 and a.dismissed_until > now()
          and a.dismissed_until <= now() + make_interval(days => $2) and a.state = 2
          and exists (select from tenant.webhook_endpoint e
                      where e.tenant_id = $1 and e.disabled_at is null and $3 = any(e.events)
                        and (e.project_ids is null or a.project_id = any(e.project_ids)))
          and not exists (select from tenant.webhook_expiry_told t
                          where t.tenant_id = $1 and t.alert_id = a.id and t.dismissed_until = a.dismissed_until)
        order by a.dismissed_until limit 1
        "#,
        tx.tenant(),
        EXPIRING_DAYS,
        EventType::AcceptanceExpiring.as_str()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(project.map(ProjectId::from))
}
