//! What a scan's findings mean for the alerts of its project.
//!
//! The findings of one scope are compared with what the scope holds: the same fingerprint is the same alert. What
//! is left over on both sides goes to [`tamiz_core::identity::matching`], with the whole group where equals became
//! more or fewer. A new finding whose fingerprint another scope knows, or this one knew, belongs to that alert; the
//! rest are new alerts. What nobody sees any more is gone, if the report was whole.
//!
//! Only what changed is written: a scan that finds what the one before found touches its scope's row alone. The
//! statements are as many as there are batches, whatever they hold.
//!
//! Not here: rows of findings ([`crate::finding`]).

mod arrival;
mod gone;
mod known;
mod leftovers;
#[cfg(test)]
pub(in crate::alert) mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tamiz_core::identity::{Fingerprint, Kind, PartHash};
use tamiz_core::related::Traits;
use tamiz_core::scope::{Comparison, ScanScope};
use tamiz_core::{AlertId, FindingId, ProjectId, Severity, TaskId};
use uuid::Uuid;

pub use arrival::Arrival;
pub(super) use known::alerts_with;

use super::ROWS_AT_ONCE;
use super::count::Changes;
use super::scope::{self, OpenScope};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A finding as far as alerts are concerned.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The finding.
    pub finding: FindingId,
    /// What it says; stored, or on its way ([`Scan::contents`]).
    pub content: PartHash,
    /// What its identity is made of.
    pub kind: Kind,
    /// The hash of its parts.
    pub base: Fingerprint,
    /// With its number among equals.
    pub fingerprint: Fingerprint,
    /// What tells it from other places of the identity.
    pub place: PartHash,
    /// In our words.
    pub severity: Severity,
    /// Line and column of its place; 0 where there is none.
    pub at: (u32, u32),
    /// The lines of the source, as stored.
    pub lines: Option<Vec<u8>>,
    /// The tool's own id, unless it stands for several results.
    pub tool_id: Option<PartHash>,
    /// What it may have in common with others.
    pub traits: Traits,
}

/// Which scan it is.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// Whose alerts.
    pub project: ProjectId,
    /// The task.
    pub task: TaskId,
    /// What it looked at.
    pub scope: &'a ScanScope,
    /// Whether what it did not find is gone.
    pub closes: bool,
    /// What the sightings say; read only where fingerprints do not tell who is who.
    pub contents: &'a Arrival,
}

/// What an occurrence was before this scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    content: Uuid,
    line: i32,
    fingerprint: Fingerprint,
}

impl Before {
    /// The sighting says the same at the same place.
    fn is(&self, sighting: &Sighting) -> bool {
        !self.is_elsewhere(sighting) && self.content == Uuid::from_bytes(sighting.content)
    }

    /// It was at another line, or another of its equals.
    fn is_elsewhere(&self, sighting: &Sighting) -> bool {
        self.fingerprint != sighting.fingerprint || self.line != line(sighting)
    }
}

/// Which alert a sighting belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    /// The scope held it at this place.
    Held(AlertId, Before),
    /// The project knows it; the scope did not hold it at this place.
    Known(AlertId),
    /// Nobody knows it.
    New(AlertId),
}

impl Belongs {
    const fn alert(self) -> AlertId {
        match self {
            Self::Held(alert, _) | Self::Known(alert) | Self::New(alert) => alert,
        }
    }
}

/// Merges all sightings of one scope; answers the alert of each, in their order, and what changed. The project is held.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn merge(
    tx: &mut TenantTx,
    scan: Scan<'_>,
    sightings: &[Sighting],
) -> Result<(Vec<AlertId>, Comparison), StoreError> {
    let scope = scope::open(tx, scan.project, scan.task, scan.scope).await?;
    let (belongs, gone) = belongings(tx, scan, &scope, sightings).await?;
    let mut changes = Changes::default();
    let mut comparison = Comparison {
        closes: scan.closes,
        ..Comparison::default()
    };
    let written = write::Written::new(scan, scope.id, sightings, &belongs);
    written.known(tx, &mut changes, &mut comparison).await?;
    written.open(tx, &mut changes, &mut comparison).await?;
    written.places(tx).await?;
    written.come_home(tx).await?;
    if scan.closes {
        comparison.fixed = gone::close(tx, scan, &scope, &gone, &mut changes).await?;
    }
    let seen: HashSet<AlertId> = belongs.iter().map(|belongs| belongs.alert()).collect();
    let seen = u32::try_from(seen.len()).unwrap_or(u32::MAX);
    comparison.unchanged = seen.saturating_sub(comparison.new + comparison.reopened);
    changes.write(tx, scan.project, Some(scan.task)).await?;
    Ok((
        belongs.iter().map(|belongs| belongs.alert()).collect(),
        comparison,
    ))
}

/// The places that a scope holds and nobody sees, by alert and place.
type Gone = BTreeMap<(AlertId, Uuid), known::Place>;

/// The alert of each sighting, and the places that the scope held and nobody sees any more.
async fn belongings(
    tx: &mut TenantTx,
    scan: Scan<'_>,
    scope: &OpenScope,
    sightings: &[Sighting],
) -> Result<(Vec<Belongs>, Gone), StoreError> {
    let (mut belongs, mut gone) = (vec![None; sightings.len()], Gone::new());
    if !scope.is_new {
        belongs = known::held(tx, scope.id, sightings).await?;
        gone = known::not_seen(tx, scope.id, sightings, &belongs).await?;
        leftovers::settle_groups(tx, scan.project, sightings, &mut belongs, &mut gone).await?;
    }
    let unknown: Vec<usize> = (0..belongs.len()).filter(|at| belongs[*at].is_none()).collect();
    let known = known::by_fingerprint(tx, scan.project, sightings, &unknown).await?;
    for at in unknown {
        if let Some(alert) = known.get(&sightings[at].fingerprint) {
            belongs[at] = Some(take(*alert, &sightings[at], &mut gone));
        }
    }
    leftovers::pair(tx, scan, sightings, &mut belongs, &mut gone).await?;
    leftovers::return_equals(tx, scan.project, sightings, &mut belongs).await?;
    // Equal fingerprints that nobody knows are places of one new alert. Ids are given in the order of fingerprints, so
    // that each index of alerts and places is written from one end to the other.
    let unknown = sightings
        .iter()
        .zip(&belongs)
        .filter(|(_, belongs)| belongs.is_none());
    let new: BTreeSet<Fingerprint> = unknown.map(|(sighting, _)| sighting.fingerprint).collect();
    let new: HashMap<Fingerprint, AlertId> = new.into_iter().map(|print| (print, AlertId::fresh())).collect();
    let belongs = belongs
        .into_iter()
        .zip(sightings)
        .map(|(belongs, sighting)| belongs.unwrap_or_else(|| Belongs::New(new[&sighting.fingerprint])));
    Ok((belongs.collect(), gone))
}

/// The sighting is of this alert, which the scope may have held at its place.
fn take(alert: AlertId, sighting: &Sighting, gone: &mut Gone) -> Belongs {
    match gone.remove(&(alert, Uuid::from_bytes(sighting.place))) {
        Some(old) => Belongs::Held(alert, old.before),
        None => Belongs::Known(alert),
    }
}

/// As stored.
fn line(sighting: &Sighting) -> i32 {
    i32::try_from(sighting.at.0).unwrap_or(i32::MAX)
}
