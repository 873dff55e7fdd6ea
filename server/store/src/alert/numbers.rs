//! The numbers of equals, which are part of their fingerprints: who has which, which are free, and giving others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tamiz_core::identity::Fingerprint;
use tamiz_core::{AlertId, ProjectId};
use uuid::Uuid;

use super::ROWS_AT_ONCE;
use super::merge::alerts_with;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// For each base so many numbers that no alert of the project has, the lowest first.
pub(super) async fn free_numbers(
    tx: &mut TenantTx,
    project: ProjectId,
    wanted: &[(Fingerprint, u32)],
) -> Result<HashMap<Fingerprint, Vec<(Fingerprint, u32)>>, StoreError> {
    let mut free: HashMap<Fingerprint, Vec<(Fingerprint, u32)>> = HashMap::new();
    let mut open: Vec<(Fingerprint, u32, u32)> =
        wanted.iter().map(|(base, count)| (*base, *count, 0)).collect();
    while !open.is_empty() {
        // as many as are wanted, and as many again for those that are taken
        let prints = open.iter().flat_map(|(base, count, from)| {
            (*from..from.saturating_add(2 * count)).map(move |number| base.numbered(number))
        });
        let prints: Vec<Fingerprint> = prints.collect();
        let taken: HashSet<Fingerprint> = alerts_with(tx, project, &prints).await?.into_keys().collect();
        for (base, count, from) in &mut open {
            let found = free.entry(*base).or_default();
            let next = from.saturating_add(2 * *count);
            let numbers = (*from..next).map(|number| (base.numbered(number), number));
            let numbers = numbers.filter(|(print, _)| !taken.contains(print));
            let before = found.len();
            found.extend(numbers.take(*count as usize));
            *count -= u32::try_from(found.len() - before).unwrap_or(*count);
            *from = next;
        }
        open.retain(|(_, count, _)| *count > 0);
    }
    Ok(free)
}

/// Alerts that have fingerprints which others are about to take get numbers that nobody has.
pub(super) async fn give_way(
    tx: &mut TenantTx,
    project: ProjectId,
    taken: &HashMap<Fingerprint, Fingerprint>,
    takers: &BTreeSet<AlertId>,
) -> Result<u64, StoreError> {
    let prints: Vec<Fingerprint> = taken.keys().copied().collect();
    let owners = alerts_with(tx, project, &prints).await?;
    let mut evicted: BTreeMap<Fingerprint, Vec<AlertId>> = BTreeMap::new();
    for (print, owner) in owners.into_iter().filter(|(_, owner)| !takers.contains(owner)) {
        evicted.entry(taken[&print]).or_default().push(owner);
    }
    let mut sizes: HashMap<Fingerprint, u32> = HashMap::new();
    for base in taken.values() {
        *sizes.entry(*base).or_default() += 1;
    }
    // those that are about to be taken are not free: beyond them enough are
    let wanted = evicted.iter().map(|(base, owners)| {
        let owners = u32::try_from(owners.len()).unwrap_or(u32::MAX);
        (*base, owners.saturating_add(sizes[base]))
    });
    let wanted: Vec<(Fingerprint, u32)> = wanted.collect();
    let mut free = free_numbers(tx, project, &wanted).await?;
    let mut moved = Vec::new();
    for (base, mut owners) in evicted {
        owners.sort_unstable();
        let numbers = free.remove(&base).unwrap_or_default().into_iter();
        let numbers = numbers.filter(|(print, _)| !taken.contains_key(print));
        moved.extend(
            owners
                .into_iter()
                .zip(numbers)
                .map(|(owner, (print, _))| (owner, print)),
        );
    }
    renumber(tx, &moved).await
}

/// Gives alerts other numbers, and nothing else; answers how many.
async fn renumber(tx: &mut TenantTx, moved: &[(AlertId, Fingerprint)]) -> Result<u64, StoreError> {
    for part in moved.chunks(ROWS_AT_ONCE) {
        let ids: Vec<Uuid> = part.iter().map(|(alert, _)| alert.uuid()).collect();
        let prints: Vec<Vec<u8>> = part.iter().map(|(_, print)| print.0.to_vec()).collect();
        sqlx::query!(
            r#"
            update tenant.alert a set fingerprint = known.new_fingerprint
            from (select x.new_fingerprint, a.ctid as at from unnest($2::uuid[], $3::bytea[]) x(id, new_fingerprint)
                  cross join lateral (
                      select a.ctid from tenant.alert a where a.tenant_id = $1 and a.id >= x.id and a.id <= x.id
                      order by a.id limit 1) a
                  where coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id) known
            where a.tenant_id = $1 and a.ctid = known.at
            "#,
            tx.tenant(),
            &ids,
            &prints
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(moved.len() as u64)
}

/// Alerts may change fingerprints among each other until [`settle`].
pub(super) async fn unsettle(tx: &mut TenantTx) -> Result<(), StoreError> {
    sqlx::query("set constraints tenant.alert_identity_key deferred")
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Each fingerprint has one alert again.
pub(super) async fn settle(tx: &mut TenantTx) -> Result<(), StoreError> {
    sqlx::query("set constraints tenant.alert_identity_key immediate")
        .execute(tx.connection())
        .await?;
    Ok(())
}
