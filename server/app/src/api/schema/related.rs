//! Alerts beside an alert, and the ids that a project's findings tell to be of one flaw.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Enum, SimpleObject};
use tamiz_core::advisory::{Advisory, Family};
use tamiz_core::aliases;
use tamiz_core::{AlertId, ProjectId};
use tamiz_store::alert::related::{self, Related};
use tamiz_store::page::PageLimit;

use super::alert::Alert;
use super::connection::limit;
use super::session::Session;
use super::task_page::by;
use crate::api::errors::ApiError;

/// What related alerts have in common.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tamiz_core::related::RelatedBy", name = "RelatedBy")]
pub(crate) enum RelatedByName {
    /// An advisory, by any of its ids.
    Advisory,
    /// A weakness (CWE) at the same place.
    Weakness,
}

/// An alert of the same project that may be of the same flaw.
#[derive(SimpleObject)]
pub(crate) struct RelatedAlert {
    /// What they have in common: an advisory, where both.
    by: RelatedByName,
    /// The other one.
    alert: Alert,
}

/// Who stands beside an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RelatedKey {
    alert: AlertId,
    limit: PageLimit,
}

/// In the order in which they are shown.
pub(super) type RelatedAlerts = Arc<Vec<Related>>;

impl RelatedAlert {
    /// The first of those beside an alert.
    pub(super) async fn of(
        session: &Session,
        alert: AlertId,
        first: Option<i32>,
    ) -> Result<Vec<Self>, ApiError> {
        let limit = limit(session, first)?;
        let fetch = async |keys: Vec<RelatedKey>| {
            let mut all = HashMap::new();
            for (limit, alerts) in by(keys, |key| (key.limit, key.alert)) {
                let found = session
                    .read(|tx| Box::pin(async move { related::related_to(tx, &alerts, limit).await }))
                    .await?;
                all.extend(
                    found
                        .into_iter()
                        .map(|(alert, related)| (RelatedKey { alert, limit }, Arc::new(related))),
                );
            }
            Ok(all)
        };
        let key = RelatedKey { alert, limit };
        let related = session
            .batches()
            .related_alerts
            .load(key, fetch)
            .await?
            .unwrap_or_default();
        let shown = related.iter().map(async |one| {
            let alert = session.alert(one.alert).await?;
            Ok::<_, ApiError>(alert.map(|row| Self {
                by: one.by.into(),
                alert: Alert(row),
            }))
        });
        let shown = futures_util::future::try_join_all(shown).await?;
        Ok(shown.into_iter().flatten().collect())
    }
}

/// The CVEs of what a finding of the project names, by all that is known of aliases there.
pub(super) async fn cves(
    session: &Session,
    project: ProjectId,
    named: impl Iterator<Item = &str>,
) -> Result<Vec<String>, ApiError> {
    let named = aliases::named_in(named);
    let own = named.iter().filter(|id| id.family() == Family::Cve);
    let own: Vec<String> = own.map(|id| id.as_str().to_owned()).collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let fetch = async |keys: Vec<(ProjectId, Advisory)>| {
        let asked = keys.clone();
        let groups = session
            .read(|tx| Box::pin(async move { related::aliases_of(tx, asked).await }))
            .await?;
        let cves = keys.into_iter().filter_map(|(project, id)| {
            let best = groups.get(&project)?.representative(&id);
            let cve = (best.family() == Family::Cve).then(|| best.as_str().to_owned())?;
            Some(((project, id), cve))
        });
        Ok(cves.collect())
    };
    let named = named.into_iter().filter(|id| id.family() != Family::Bulletin);
    let batches = session.batches();
    let known = named.map(|id| batches.cves_by_alias.load((project, id), fetch));
    let known = futures_util::future::try_join_all(known).await?;
    let mut known: Vec<String> = known.into_iter().flatten().collect();
    known.sort_unstable();
    known.dedup();
    Ok(known)
}
