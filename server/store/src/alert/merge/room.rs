//! Numbers for equals of before, whose fingerprints others are about to take.

use std::collections::{BTreeMap, HashMap, HashSet};

use tamiz_core::AlertId;
use tamiz_core::identity::Fingerprint;

use super::{Scan, Sighting, known};
use crate::alert::rehash::numbers;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Equals of one file that may ever have been known: far more than anybody looks at.
const NUMBERS_MAX: u32 = 10_000;
/// Numbers that are looked at beyond those that are needed.
const BEYOND: u32 = 16;

/// Alerts with equal parts that need other numbers, and the first number that was not looked at for them.
struct Homeless {
    alerts: Vec<AlertId>,
    next: u32,
}

impl Homeless {
    /// The numbers to be looked at now.
    fn numbers(&self) -> std::ops::Range<u32> {
        let needed = u32::try_from(self.alerts.len()).unwrap_or(NUMBERS_MAX);
        self.next..(self.next + needed + BEYOND).min(NUMBERS_MAX)
    }
}

/// Fingerprints that these alerts are about to take may belong to others that this scan does not see: equals of before.
/// They get the lowest numbers that nobody has.
pub(super) async fn make(
    tx: &mut TenantTx,
    scan: Scan<'_>,
    alerts: &[(AlertId, &Sighting)],
) -> Result<(), StoreError> {
    let bases: HashMap<Fingerprint, Fingerprint> = alerts
        .iter()
        .map(|(_, shown)| (shown.fingerprint, shown.base))
        .collect();
    let moving: HashSet<AlertId> = alerts.iter().map(|(alert, _)| *alert).collect();
    let prints: Vec<Fingerprint> = bases.keys().copied().collect();
    let owners = known::alerts_with(tx, scan.project, &prints).await?;
    let mut homeless: BTreeMap<Fingerprint, Homeless> = BTreeMap::new();
    for (print, owner) in owners.into_iter().filter(|(_, owner)| !moving.contains(owner)) {
        let equals = homeless.entry(bases[&print]).or_insert(Homeless {
            alerts: Vec::new(),
            next: 0,
        });
        equals.alerts.push(owner);
    }
    for equals in homeless.values_mut() {
        // the oldest is popped first
        equals.alerts.sort_unstable_by(|one, other| other.cmp(one));
    }
    let mut moved: Vec<(AlertId, Fingerprint)> = Vec::new();
    while !homeless.is_empty() {
        let looked = homeless
            .iter()
            .flat_map(|(base, equals)| equals.numbers().map(|number| base.numbered(number)));
        let looked: Vec<Fingerprint> = looked.filter(|print| !bases.contains_key(print)).collect();
        let taken = known::alerts_with(tx, scan.project, &looked).await?;
        for (base, equals) in &mut homeless {
            let numbers = equals.numbers();
            equals.next = numbers.end;
            let free = numbers.map(|number| base.numbered(number));
            let free = free.filter(|print| !bases.contains_key(print) && !taken.contains_key(print));
            for print in free {
                let Some(alert) = equals.alerts.pop() else { break };
                moved.push((alert, print));
            }
        }
        homeless.retain(|_, equals| !equals.alerts.is_empty() && equals.next < NUMBERS_MAX);
    }
    numbers(tx, &moved).await?;
    Ok(())
}
