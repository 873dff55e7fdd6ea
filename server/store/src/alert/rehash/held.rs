//! What a scope holds: its places are numbered as its next scan will number them.
//!
//! Memory: 300 bytes for each place that the scope holds, as while it is scanned.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use tamiz_core::identity::{Fingerprint, fingerprint, ordinals};
use tamiz_core::{AlertId, ProjectId};
use uuid::Uuid;

use super::mark::{Mark, marks};
use super::write::{self, Place};
use super::{Rehashed, Which};
use crate::alert::{ROWS_AT_ONCE, fingerprint_of, numbers};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// One place and the alert that it is of.
#[derive(Debug, Clone)]
struct Held {
    alert: AlertId,
    place: Uuid,
    print: Fingerprint,
    alert_print: Fingerprint,
    alert_version: i16,
    /// Whether this scope is the one that saw the alert last.
    is_home: bool,
    /// Who goes before whom where alerts fall together.
    rank: (i16, DateTime<Utc>),
    mark: Mark,
}

/// Rehashes the places that the scope holds, and their alerts. The project is held.
pub(super) async fn of_scope(
    tx: &mut TenantTx,
    project: ProjectId,
    which: Which,
    scope: Uuid,
) -> Result<Rehashed, StoreError> {
    let held = read(tx, project, scope).await?;
    let mut done = Rehashed {
        read: held.len() as u64,
        ..Rehashed::default()
    };
    let mut groups: BTreeMap<Fingerprint, Vec<&Held>> = BTreeMap::new();
    for one in &held {
        groups.entry(one.mark.base).or_default().push(one);
    }
    let (mut places, mut alerts): (Vec<Place>, Vec<write::Alert>) = (Vec::new(), Vec::new());
    let mut taken: HashMap<Fingerprint, Fingerprint> = HashMap::new();
    for (base, group) in groups {
        let prints = prints_of(which, base, &group, &mut done);
        places.extend(places_of(&group, &prints));
        for (one, print) in alerts_of(which, &group, &prints) {
            taken.insert(print, base);
            alerts.push(write::Alert::of(one.alert.uuid(), print, &one.mark));
        }
    }
    let takers: BTreeSet<AlertId> = alerts.iter().map(write::Alert::id).collect();
    numbers::unsettle(tx).await?;
    done.alerts += numbers::give_way(tx, project, &taken, &takers).await?;
    done.alerts += write::alerts(tx, project, &alerts).await?;
    numbers::settle(tx).await?;
    done.places = places.len() as u64;
    write::places(tx, scope, &places).await?;
    sqlx::query!(
        "update tenant.scan_scope set fingerprint_version = $3 where tenant_id = $1 and id = $2",
        tx.tenant(),
        scope,
        fingerprint::VERSION
    )
    .execute(tx.connection())
    .await?;
    Ok(done)
}

/// The fingerprint of each place of a group: by its position where equals are counted, else by its alert.
fn prints_of(which: Which, base: Fingerprint, group: &[&Held], done: &mut Rehashed) -> Vec<Fingerprint> {
    let has_numbers = group.iter().all(|one| one.mark.has(one.print, group.len()));
    if which == Which::All && has_numbers {
        return group.iter().map(|one| one.print).collect();
    }
    if group.iter().all(|one| one.mark.kind.is_counted()) {
        let marks = group.iter().map(|one| (one.mark.kind, base, one.mark.position));
        return ordinals::fingerprints(&marks.collect::<Vec<_>>());
    }
    let mut owners: Vec<(i16, DateTime<Utc>, AlertId)> = group
        .iter()
        .map(|one| (one.rank.0, one.rank.1, one.alert))
        .collect();
    owners.sort_unstable();
    owners.dedup();
    done.fell_together += owners.len().saturating_sub(1) as u64;
    let numbers: HashMap<AlertId, u32> = (0..)
        .zip(owners)
        .map(|(number, (.., alert))| (alert, number))
        .collect();
    group
        .iter()
        .map(|one| base.numbered(numbers[&one.alert]))
        .collect()
}

/// The places of a group that are known otherwise from now on.
fn places_of(group: &[&Held], prints: &[Fingerprint]) -> Vec<Place> {
    let mut wanted: HashSet<(AlertId, Uuid)> = HashSet::new();
    let places = group.iter().zip(prints).filter_map(|(one, print)| {
        let new_place = Uuid::from_bytes(one.mark.place);
        let is_first = wanted.insert((one.alert, new_place));
        let place = Place {
            alert: one.alert,
            old: one.place,
            new: if is_first { new_place } else { one.place },
            print: *print,
        };
        (place.new != one.place || *print != one.print).then_some(place)
    });
    places.collect()
}

/// The alerts of a group, each with the fingerprint of its first place; one that another scope saw last and numbered
/// already is left to that scope.
fn alerts_of<'a>(which: Which, group: &[&'a Held], prints: &[Fingerprint]) -> Vec<(&'a Held, Fingerprint)> {
    let mut first: BTreeMap<AlertId, (Uuid, &Held, Fingerprint)> = BTreeMap::new();
    for (one, print) in group.iter().zip(prints) {
        let known = first.entry(one.alert).or_insert((one.place, one, *print));
        if one.place < known.0 {
            *known = (one.place, one, *print);
        }
    }
    let alerts = first.into_values().map(|(_, one, print)| {
        let is_known =
            one.alert_version == fingerprint::VERSION && one.mark.has(one.alert_print, group.len());
        let keeps = is_known && (which == Which::All || !one.is_home);
        (one, if keeps { one.alert_print } else { print })
    });
    alerts.collect()
}

/// All that the scope holds. Served by `alert_occurrence_scope_idx`, then by the primary keys.
async fn read(tx: &mut TenantTx, project: ProjectId, scope: Uuid) -> Result<Vec<Held>, StoreError> {
    let keys = sqlx::query!(
        "select alert_id, place from tenant.alert_occurrence
         where tenant_id = $1 and scope_id = $2 and last_seen_at is null",
        tx.tenant(),
        scope
    )
    .fetch(tx.connection());
    let keys = keys.map_ok(|row| (row.alert_id, row.place));
    let mut keys: Vec<(Uuid, Uuid)> = keys.try_collect().await?;
    keys.sort_unstable();
    let mut held = Vec::with_capacity(keys.len());
    for part in keys.chunks(ROWS_AT_ONCE) {
        held.extend(some(tx, project, scope, part).await?);
    }
    Ok(held)
}

async fn some(
    tx: &mut TenantTx,
    project: ProjectId,
    scope: Uuid,
    keys: &[(Uuid, Uuid)],
) -> Result<Vec<Held>, StoreError> {
    let (alerts, places): (Vec<Uuid>, Vec<Uuid>) = keys.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"
        select x.alert_id as "alert_id!", x.place as "place!", o.fingerprint, o.content_id, o.lines,
               a.fingerprint as alert_print, a.fingerprint_version, a.scope_id, a.state, a.first_seen_at
        from unnest($3::uuid[], $4::uuid[]) x(alert_id, place)
        cross join lateral (
            select o.fingerprint, o.content_id, o.lines from tenant.alert_occurrence o
            where o.tenant_id = $1 and o.scope_id = $2 and o.alert_id = x.alert_id and o.place = x.place limit 1) o
        cross join lateral (
            select a.* from tenant.alert a where a.tenant_id = $1 and a.id >= x.alert_id and a.id <= x.alert_id
            order by a.id limit 1) a
        "#,
        tx.tenant(),
        scope,
        &alerts,
        &places
    )
    .fetch_all(tx.connection())
    .await?;
    let stored: Vec<(Uuid, Option<Vec<u8>>)> = rows
        .iter()
        .map(|row| (row.content_id, row.lines.clone()))
        .collect();
    let marks = marks(tx, project, &stored).await?;
    let held = rows.into_iter().zip(marks).filter_map(|(row, mark)| {
        let held = |mark| {
            Ok(Held {
                alert: row.alert_id.into(),
                place: row.place,
                print: fingerprint_of(&row.fingerprint)?,
                alert_print: fingerprint_of(&row.alert_print)?,
                alert_version: row.fingerprint_version,
                is_home: row.scope_id == scope,
                rank: (row.state, row.first_seen_at),
                mark,
            })
        };
        mark.map(held)
    });
    held.collect()
}
