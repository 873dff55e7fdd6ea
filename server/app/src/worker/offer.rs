//! Which scan types a worker takes: those that it can serve, and those that nobody else can.
//!
//! A worker without the tools of a scan type leaves its tasks to one that has them, reports to be
//! converted too, because a ticket does not tell the two apart. When no living worker has them it takes
//! them all the same: reports are converted, and a scan fails at once and says which tools are missing,
//! instead of waiting for ever.
//!
//! Not here: whether a tool works (`tool::probe`), and a plan's single tools (`scan`).

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use serde_json::Value;
use tamiz_core::{ScanType, WorkerId};
use tamiz_store::worker::WorkerRow;

use crate::tool::Inventory;

/// The key of a worker's capabilities that others look at.
pub(super) const SERVED: &str = "scansWithTools";

/// What one worker takes; changes with the company it is in.
#[derive(Debug)]
pub(super) struct Offer {
    all: Vec<ScanType>,
    /// Of those, the ones for which the machine has a tool, or for which no tool is known.
    able: BTreeSet<ScanType>,
    now: RwLock<Vec<ScanType>>,
}

impl Offer {
    /// `all` is what there are plugins for.
    pub(super) fn new(all: Vec<ScanType>, inventory: &Inventory) -> Self {
        let served = inventory.scan_types();
        let wants_tools = |scan_type: &ScanType| {
            let mut missing = inventory.missing.iter().flat_map(|tool| &tool.scan_types);
            missing.any(|word| word == scan_type.as_str())
        };
        let is_able = |scan_type: &&ScanType| served.contains(scan_type.as_str()) || !wants_tools(scan_type);
        let able: BTreeSet<ScanType> = all.iter().filter(is_able).cloned().collect();
        Self {
            // Until the company is known.
            now: RwLock::new(able.iter().cloned().collect()),
            all,
            able,
        }
    }

    /// What this worker can serve, whatever the others do.
    pub(super) const fn able(&self) -> &BTreeSet<ScanType> {
        &self.able
    }

    /// What it takes now.
    pub(super) fn now(&self) -> Vec<ScanType> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the living workers again.
    pub(super) fn refresh(&self, me: WorkerId, living: &[WorkerRow]) {
        let others_serve = |scan_type: &ScanType| {
            let mut others = living
                .iter()
                .filter(|other| other.id != me && other.state != "draining");
            others.any(|other| serves(&other.capabilities, scan_type))
        };
        let takes = |scan_type: &&ScanType| self.able.contains(*scan_type) || !others_serve(scan_type);
        let now: Vec<ScanType> = self.all.iter().filter(takes).cloned().collect();
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

fn serves(capabilities: &Value, scan_type: &ScanType) -> bool {
    let served = capabilities.get(SERVED).and_then(Value::as_array);
    served.is_some_and(|served| served.iter().any(|word| word == scan_type.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::MissingTool;
    use serde_json::json;

    fn row(id: WorkerId, state: &str, served: &[&str]) -> WorkerRow {
        WorkerRow {
            id,
            host: "worker".to_owned(),
            state: state.to_owned(),
            capabilities: json!({ SERVED: served }),
            heartbeat_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_type_without_tools_is_left_to_who_has_them_and_taken_when_nobody_does() {
        let types = |words: &[&str]| -> Vec<ScanType> {
            words.iter().map(|word| ScanType::parse(word).unwrap()).collect()
        };
        let inventory = Inventory {
            available: Vec::new(),
            missing: vec![MissingTool {
                name: "sslscan".to_owned(),
                scan_types: vec!["ssl".to_owned()],
                reason: "absent".to_owned(),
            }],
        };
        let (me, other) = (WorkerId::fresh(), WorkerId::fresh());
        let offer = Offer::new(types(&["own", "ssl"]), &inventory);
        assert_eq!(offer.able().iter().cloned().collect::<Vec<_>>(), types(&["own"]));
        for (company, takes) in [
            (vec![], &["own", "ssl"][..]),
            (vec![row(other, "idle", &["ssl"])], &["own"]),
            (vec![row(other, "busy", &["web"])], &["own", "ssl"]),
            (vec![row(other, "draining", &["ssl"])], &["own", "ssl"]),
            (vec![row(me, "idle", &["ssl"])], &["own", "ssl"]),
        ] {
            offer.refresh(me, &company);
            assert_eq!(offer.now(), types(takes), "{company:?}");
        }
    }
}
