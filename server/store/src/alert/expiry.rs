//! Accepted risks whose time is over: they open again, or are fixed if they are gone.

use std::collections::BTreeSet;

use tamiz_core::{AlertId, ProjectId};

use super::hold_project;
use super::triage::{Decision, read, write};
use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

/// Alerts of one project that one transaction opens.
const ALERTS_AT_ONCE: i64 = 500;
/// Alerts that one call opens before it leaves the rest to the next.
const ALERTS_PER_CALL: u64 = 5_000;
/// Who the events say it was.
pub(super) const ACTOR: &str = "expiry";

impl Store {
    /// Opens accepted risks whose time is over, up to a few thousand; answers how many.
    ///
    /// Served by `alert_expiry_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was opened and some tenant's alerts could not be.
    pub async fn expire_acceptances(&self) -> Result<u64, StoreError> {
        let failing = "acceptances stay beyond their time";
        self.round(ALERTS_PER_CALL, failing, |store, scope| async move {
            expire(&store, &scope).await
        })
        .await
    }
}

/// One batch of a tenant: the alerts of one project whose time has been over for longest.
async fn expire(store: &Store, scope: &TenantScope) -> Result<u64, StoreError> {
    let mut tx = store.begin(scope).await?;
    let project = sqlx::query_scalar!(
        r#"
        select project_id from tenant.alert where tenant_id = $1 and dismissed_until <= now()
        order by dismissed_until limit 1
        "#,
        tx.tenant()
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(project) = project.map(ProjectId::from) else {
        return Ok(0);
    };
    hold_project(&mut tx, project).await?;
    let over = sqlx::query_scalar!(
        r#"
        select id from tenant.alert where tenant_id = $1 and project_id = $2 and dismissed_until <= now()
        order by dismissed_until limit $3
        "#,
        tx.tenant(),
        project.uuid(),
        ALERTS_AT_ONCE
    )
    .fetch_all(tx.connection())
    .await?;
    let over: BTreeSet<AlertId> = over.into_iter().map(AlertId::from).collect();
    let (standings, moment) = read(&mut tx, project, &over, ACTOR).await?;
    let changes = standings
        .iter()
        .filter_map(|alert| Decision::Expire.on(alert, moment));
    let changes: Vec<_> = changes.collect();
    write(&mut tx, project, moment, &changes).await?;
    tx.commit().await?;
    Ok(changes.len() as u64)
}
