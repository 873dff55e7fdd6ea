//! Alerts of an older fingerprint version, known again by the one of this program.
//!
//! Identities are made anew from stored parts: what the finding says, the hashes of its lines, the tool's id. Who an
//! alert is, and what people decided, stays: rows keep their ids, states, comments and events. A scope says of which
//! version the places are that it holds ([`fingerprint::VERSION`]); alerts that are gone say it themselves and come
//! first, so that a project none of whose scopes is behind has nothing behind. What is done in one transaction is whole,
//! so that whoever is killed goes on where the next transaction would have begun.
//!
//! Alerts that fall together under the new version are told and kept apart. Of those that one scope holds, an open one
//! goes before a dismissed one, and then the older: it is who later scans find, so that no decision hides a flaw that it
//! was not made for. The others get numbers that no scan gives, keep what was decided, and are gone with the next whole
//! scan.
//!
//! A scan of this program over a project that is behind does the same first, in its own transaction ([`catch_up`]).
//!
//! Not here: findings, which keep the version they were stored with; nobody is looked up by them. Places that are gone
//! get a new fingerprint when they are back.

mod gone;
mod held;
mod mark;
#[cfg(test)]
mod tests;
mod write;

use chrono::{DateTime, Utc};
use tamiz_core::identity::fingerprint;
use tamiz_core::{ProjectId, TenantId};
use uuid::Uuid;

use super::hold_project;
use crate::connect::Store;
use crate::error::StoreError;
use crate::project::named_after;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Alerts that are gone, of one transaction, unless the operator says otherwise.
pub const ALERTS_AT_ONCE: u32 = 5_000;
/// The most that an operator may say: some hundred megabytes of what findings say.
pub const ALERTS_AT_ONCE_MAX: u32 = 50_000;
/// Which alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Of older versions.
    Older,
    /// All; those of this version keep the number that they have.
    All,
}

/// What is kept of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    Work,
    /// The numbers alone: a rehearsal.
    Numbers,
}

/// How a rehash is done.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Which alerts.
    pub which: Which,
    /// What is kept.
    pub keep: Keep,
    /// Alerts that are gone, of one transaction. What a scope holds goes in one, as its scans do.
    pub alerts_at_once: u32,
}

/// What a rehash did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rehashed {
    /// Alerts and places that were looked at.
    pub read: u64,
    /// Alerts that got another fingerprint.
    pub alerts: u64,
    /// Places that got another fingerprint.
    pub places: u64,
    /// Alerts that another one is now, kept apart.
    pub fell_together: u64,
}

impl Rehashed {
    fn add(&mut self, more: Self) {
        self.read += more.read;
        self.alerts += more.alerts;
        self.places += more.places;
        self.fell_together += more.fell_together;
    }
}

/// Rehashes all projects of the tenant, or the one of this name; `told` hears of every transaction. Answers `None`
/// where there is no such project.
///
/// # Errors
/// [`StoreError`] when the database does not take it; what was told of is kept.
pub async fn rehash(
    store: &Store,
    tenant: TenantId,
    project: Option<&str>,
    terms: Terms,
    mut told: impl FnMut(&str, Rehashed),
) -> Result<Option<Rehashed>, StoreError> {
    let scope = TenantScope::of(tenant);
    let (mut all, mut after, mut is_found) = (Rehashed::default(), Uuid::nil(), project.is_none());
    loop {
        let projects = named_after(store, &scope, project, after).await?;
        let Some((last, _)) = projects.last() else {
            return Ok(is_found.then_some(all));
        };
        (after, is_found) = (last.uuid(), true);
        for (id, name) in projects {
            let mut tell = |more: Rehashed| {
                all.add(more);
                told(&name, more);
            };
            of_project(store, &scope, id, terms, &mut tell).await?;
        }
    }
}

async fn of_project(
    store: &Store,
    scope: &TenantScope,
    project: ProjectId,
    terms: Terms,
    told: &mut impl FnMut(Rehashed),
) -> Result<(), StoreError> {
    let mut after = Vec::new();
    loop {
        let mut tx = store.begin(scope).await?;
        hold_project(&mut tx, project).await?;
        let batch = gone::batch(&mut tx, project, terms.which, &after, terms.alerts_at_once).await?;
        end(tx, terms.keep).await?;
        let Some((last, done)) = batch else { break };
        told(done);
        after = last;
    }
    let mut after = None;
    loop {
        let mut tx = store.begin(scope).await?;
        hold_project(&mut tx, project).await?;
        let Some(next) = next_scope(&mut tx, project, terms.which, after).await? else {
            return Ok(());
        };
        let done = held::of_scope(&mut tx, project, terms.which, next.id).await?;
        end(tx, terms.keep).await?;
        told(done);
        after = Some(next);
    }
}

async fn end(tx: TenantTx, keep: Keep) -> Result<(), StoreError> {
    match keep {
        Keep::Work => tx.commit().await,
        // a transaction that is let go is rolled back
        Keep::Numbers => Ok(()),
    }
}

/// Brings the project up to this version, if it is behind. The project is held; one question where nothing is to do.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn catch_up(tx: &mut TenantTx, project: ProjectId) -> Result<(), StoreError> {
    let mut scope = next_scope(tx, project, Which::Older, None).await?;
    if scope.is_none() {
        return Ok(());
    }
    tracing::info!(%project, version = fingerprint::VERSION, "alerts of an older fingerprint version are rehashed");
    let mut after = Vec::new();
    while let Some((last, _)) = gone::batch(tx, project, Which::Older, &after, ALERTS_AT_ONCE).await? {
        after = last;
    }
    while let Some(next) = scope {
        held::of_scope(tx, project, Which::Older, next.id).await?;
        scope = next_scope(tx, project, Which::Older, Some(next)).await?;
    }
    Ok(())
}

/// A scope whose turn it is.
#[derive(Debug, Clone, Copy)]
struct Turn {
    id: Uuid,
    scanned_at: DateTime<Utc>,
}

/// The next scope of the project, the one scanned longest ago first: an alert of several has the number that the newest
/// scan gave it. Served by `scan_scope_key`; a project has few.
async fn next_scope(
    tx: &mut TenantTx,
    project: ProjectId,
    which: Which,
    after: Option<Turn>,
) -> Result<Option<Turn>, StoreError> {
    let next = sqlx::query_as!(
        Turn,
        r#"
        select id, scanned_at from tenant.scan_scope
        where tenant_id = $1 and project_id = $2 and ($3 or fingerprint_version < $4)
          and ($5::timestamptz is null or (scanned_at, id) > ($5, $6::uuid))
        order by scanned_at, id limit 1
        "#,
        tx.tenant(),
        project.uuid(),
        which == Which::All,
        fingerprint::VERSION,
        after.map(|turn| turn.scanned_at),
        after.map(|turn| turn.id)
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(next)
}
