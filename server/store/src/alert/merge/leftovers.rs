//! What the fingerprints leave over, on both sides.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tamiz_core::identity::matching::{self, Anchors, Candidate};
use tamiz_core::identity::ordinals::Position;
use tamiz_core::identity::{Fingerprint, Kind, Lines, PartHash, Parts};
use tamiz_core::{AlertId, Finding, ProjectId};
use uuid::Uuid;

use super::{Belongs, Gone, Scan, Sighting, known, take};
use crate::error::StoreError;
use crate::finding;
use crate::tenant_tx::TenantTx;

/// Places that both scans know, as far as they say how far code moved: some megabytes.
const ANCHORS_MAX: usize = 20_000;
/// How many numbers beyond those of a scan's equals alerts of before are looked for.
const EQUALS_BEYOND: u32 = 16;

/// Where equals became more and each of them is the project's already, as after a merge of branches, all of them
/// are who they are there: which of them the scope held by these numbers says nothing.
pub(super) async fn settle_groups(
    tx: &mut TenantTx,
    project: ProjectId,
    sightings: &[Sighting],
    belongs: &mut [Option<Belongs>],
    gone: &mut Gone,
) -> Result<(), StoreError> {
    let groups = changed_groups(sightings, belongs, &HashSet::new());
    let members: Vec<usize> = groups.values().flatten().copied().collect();
    let known = known::by_fingerprint(tx, project, sightings, &members).await?;
    for group in groups.values() {
        let alerts = group
            .iter()
            .map(|at| known.get(&sightings[*at].fingerprint).copied());
        let Some(alerts) = alerts.collect::<Option<Vec<AlertId>>>() else {
            continue;
        };
        release(sightings, belongs, gone, group);
        for (at, alert) in group.iter().zip(alerts) {
            belongs[*at] = Some(take(alert, &sightings[*at], gone));
        }
    }
    Ok(())
}

/// Pairs sightings that nobody knows with places that nobody sees; of equals that became more or fewer, all of them.
pub(super) async fn pair(
    tx: &mut TenantTx,
    scan: Scan<'_>,
    sightings: &[Sighting],
    belongs: &mut [Option<Belongs>],
    gone: &mut Gone,
) -> Result<(), StoreError> {
    let mut old = old_candidates(tx, scan.project, gone).await?;
    let bases: HashSet<Fingerprint> = old.iter().map(|old| old.base).collect();
    let groups = changed_groups(sightings, belongs, &bases);
    let siblings: BTreeSet<usize> = groups.into_values().flatten().collect();
    let unknown = (0..belongs.len()).filter(|at| belongs[*at].is_none());
    let both: BTreeSet<usize> = unknown.chain(siblings.iter().copied()).collect();
    if both.is_empty() || (old.is_empty() && siblings.is_empty()) {
        return Ok(());
    }
    scan.contents.wait(tx).await?;
    let both: Vec<usize> = both.into_iter().collect();
    let rules = rules_of(&old, siblings.is_empty());
    let new = new_candidates(tx, scan.project, sightings, &both, rules.as_deref()).await?;
    for candidate in &new {
        let at = candidate.name;
        if let (true, Some(Belongs::Held(alert, before))) = (siblings.contains(&at), belongs[at]) {
            let mut parts = candidate.parts.clone();
            parts.line = u32::try_from(before.line).unwrap_or(0);
            old.push(Candidate {
                name: (alert, Uuid::from_bytes(sightings[at].place)),
                position: (parts.line, 0, [0; 16]),
                base: candidate.base,
                parts,
            });
        }
    }
    let siblings: Vec<usize> = siblings.into_iter().collect();
    release(sightings, belongs, gone, &siblings);
    let anchors = anchors(tx, scan.project, sightings, belongs, &old).await?;
    for (name, at, _) in matching::pairs(&old, &new, &anchors) {
        if let Some(place) = gone.remove(&name) {
            belongs[at] = Some(Belongs::Held(name.0, place.before));
        }
    }
    Ok(())
}

/// How far the code of the files that have something left over moved: by the places that both scans know, as many as
/// [`ANCHORS_MAX`]. Those of files with nothing left over are read and not kept, those that did not move count like any.
async fn anchors(
    tx: &mut TenantTx,
    project: ProjectId,
    sightings: &[Sighting],
    belongs: &[Option<Belongs>],
    old: &[Candidate<(AlertId, Uuid)>],
) -> Result<Anchors, StoreError> {
    let files: HashSet<&str> = old
        .iter()
        .filter(|one| one.parts.kind == Kind::Code)
        .map(|one| one.parts.target.as_str())
        .collect();
    let mut anchors = Anchors::default();
    if files.is_empty() {
        return Ok(anchors);
    }
    let held = sightings
        .iter()
        .zip(belongs)
        .filter_map(|(one, belongs)| match belongs {
            Some(Belongs::Held(_, before)) if one.kind == Kind::Code => {
                let was = u32::try_from(before.line).ok()?;
                Some((Uuid::from_bytes(one.content), was, one.at.0))
            }
            _ => None,
        });
    let mut held: Vec<(Uuid, u32, u32)> = held.collect();
    // of too many an even choice, that no order of a report has a say in
    held.sort_unstable();
    let step = held.len().div_ceil(ANCHORS_MAX).max(1);
    let held: Vec<(Uuid, u32, u32)> = held.into_iter().step_by(step).collect();
    let contents: Vec<Uuid> = held.iter().map(|(content, ..)| *content).collect();
    let paths = finding::paths(tx, project, &contents).await?;
    for (content, was, is) in held {
        if let Some(path) = paths.get(&content).filter(|path| files.contains(path.as_str())) {
            anchors.add(path, was, is);
        }
    }
    Ok(anchors)
}

/// Equals that nobody knows by their numbers may be back: alerts with another number of the same parts that this scan
/// does not see, the lowest number first.
pub(super) async fn return_equals(
    tx: &mut TenantTx,
    project: ProjectId,
    sightings: &[Sighting],
    belongs: &mut [Option<Belongs>],
) -> Result<(), StoreError> {
    let mut groups = equals(sightings, |at, _| belongs[at].is_none());
    // where nobody knows any of them, nobody had another number
    let mut sizes: HashMap<Fingerprint, u32> = HashMap::new();
    let mut met: HashSet<Fingerprint> = HashSet::new();
    for (one, belongs) in sightings.iter().zip(&*belongs) {
        if groups.contains_key(&one.base) {
            *sizes.entry(one.base).or_default() += 1;
            if belongs.is_some() {
                met.insert(one.base);
            }
        }
    }
    groups.retain(|base, _| met.contains(base));
    let numbers = |base: &Fingerprint| {
        let base = *base;
        (0..sizes[&base] + EQUALS_BEYOND).map(move |number| base.numbered(number))
    };
    let prints: Vec<Fingerprint> = groups.keys().flat_map(numbers).collect();
    let known = known::alerts_with(tx, project, &prints).await?;
    let mut taken: HashSet<AlertId> = belongs.iter().flatten().map(|belongs| belongs.alert()).collect();
    for (base, mut members) in groups {
        members.sort_by_key(|at| (sightings[*at].at, sightings[*at].content));
        let free = numbers(&base).filter_map(|print| known.get(&print).copied());
        let free: Vec<AlertId> = free.filter(|alert| !taken.contains(alert)).collect();
        for (at, alert) in members.into_iter().zip(free) {
            taken.insert(alert);
            belongs[at] = Some(Belongs::Known(alert));
        }
    }
    Ok(())
}

/// Equals of which some are held and others are not: by the hash of their parts, all of them. `bases` are those of
/// places that nobody sees.
fn changed_groups(
    sightings: &[Sighting],
    belongs: &[Option<Belongs>],
    bases: &HashSet<Fingerprint>,
) -> BTreeMap<Fingerprint, Vec<usize>> {
    let (mut held, mut changed) = (HashSet::new(), bases.clone());
    for (one, belongs) in sightings
        .iter()
        .zip(belongs)
        .filter(|(one, _)| one.kind.is_counted())
    {
        match belongs {
            Some(Belongs::Held(..)) => _ = held.insert(one.base),
            None => _ = changed.insert(one.base),
            Some(_) => {}
        }
    }
    changed.retain(|base| held.contains(base));
    equals(sightings, |_, one| changed.contains(&one.base))
}

/// Of those that are numbered among their equals and `fit`, all with the same base.
fn equals(
    sightings: &[Sighting],
    fit: impl Fn(usize, &Sighting) -> bool,
) -> BTreeMap<Fingerprint, Vec<usize>> {
    let mut groups: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
    let fitting = sightings.iter().enumerate();
    for (at, one) in fitting.filter(|(at, one)| one.kind.is_counted() && fit(*at, one)) {
        groups.entry(one.base).or_default().push(at);
    }
    groups
}

/// These are nobody's again, and the places that they were held at are not seen.
fn release(sightings: &[Sighting], belongs: &mut [Option<Belongs>], gone: &mut Gone, which: &[usize]) {
    for at in which {
        if let Some(Belongs::Held(alert, before)) = belongs[*at].take() {
            let place = known::Place {
                before,
                lines: sightings[*at].lines.clone(),
                tool_id: sightings[*at].tool_id.map(Uuid::from_bytes),
            };
            gone.insert((alert, Uuid::from_bytes(sightings[*at].place)), place);
        }
    }
}

/// The rules that new findings must have to be among the old ones; all, where equals are told apart or advisories have
/// several names.
fn rules_of<Name>(old: &[Candidate<Name>], is_old_alone: bool) -> Option<Vec<String>> {
    let has_aliases = old.iter().any(|old| old.parts.kind == Kind::Package);
    if !is_old_alone || has_aliases {
        return None;
    }
    let rules: BTreeSet<String> = old.iter().map(|old| old.parts.rule.clone()).collect();
    Some(rules.into_iter().collect())
}

async fn old_candidates(
    tx: &mut TenantTx,
    project: ProjectId,
    gone: &Gone,
) -> Result<Vec<Candidate<(AlertId, Uuid)>>, StoreError> {
    let contents: Vec<Uuid> = gone.values().map(|place| place.before.content).collect();
    let findings = finding::contents(tx, project, &contents, None).await?;
    let candidates = gone.iter().filter_map(|(name, place)| {
        let finding = findings.get(&place.before.content)?;
        let parts = parts(
            finding,
            place.lines.as_deref(),
            place.tool_id.map(Uuid::into_bytes),
        );
        let position = (parts.line, 0, [0; 16]);
        Some(candidate(*name, parts, position))
    });
    Ok(candidates.collect())
}

async fn new_candidates(
    tx: &mut TenantTx,
    project: ProjectId,
    sightings: &[Sighting],
    which: &[usize],
    rules: Option<&[String]>,
) -> Result<Vec<Candidate<usize>>, StoreError> {
    let contents = which.iter().map(|at| Uuid::from_bytes(sightings[*at].content));
    let contents: Vec<Uuid> = contents.collect();
    let findings: HashMap<Uuid, Finding> = finding::contents(tx, project, &contents, rules).await?;
    let candidates = which.iter().filter_map(|at| {
        let sighting = &sightings[*at];
        let finding = findings.get(&Uuid::from_bytes(sighting.content))?;
        let parts = parts(finding, sighting.lines.as_deref(), sighting.tool_id);
        Some(candidate(
            *at,
            parts,
            (sighting.at.0, sighting.at.1, sighting.content),
        ))
    });
    Ok(candidates.collect())
}

/// What a finding is known by. The tool's own id is not the finding's: it may have been refused.
fn parts(finding: &Finding, lines: Option<&[u8]>, tool_id: Option<PartHash>) -> Parts {
    let mut parts = Parts::of(finding, lines.and_then(Lines::from_bytes));
    parts.tool_id = tool_id;
    parts
}

fn candidate<Name>(name: Name, parts: Parts, position: Position) -> Candidate<Name> {
    Candidate {
        name,
        base: parts.base(),
        position,
        parts,
    }
}
