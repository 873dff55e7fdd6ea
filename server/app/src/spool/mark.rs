//! What a spool says of a finding beside its text, so that the text need not be read to compare scans.

use serde::{Deserialize, Serialize};
use tamiz_core::advisory::Advisory;
use tamiz_core::identity::{self, Fingerprint, Kind, Lines, PartHash, Parts};
use tamiz_core::related::Traits;
use tamiz_core::{Finding, Severity, scope};

/// What a finding is known by. All but the lines follows from its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What its identity is made of.
    pub kind: Kind,
    /// The tool.
    pub tool: String,
    /// In our words.
    pub severity: Severity,
    /// The target that it speaks of.
    pub target: String,
    /// The hash of what it says.
    #[serde(with = "hex")]
    pub content: PartHash,
    /// The hash of its identity's parts.
    #[serde(with = "hex")]
    pub base: [u8; 32],
    /// What tells it from other places of the identity; zero where there is one.
    #[serde(with = "hex")]
    pub place: PartHash,
    /// Line and column; 0 where there is none.
    pub at: (u32, u32),
    /// The tool's own id; zero where there is none.
    #[serde(with = "hex")]
    pub tool_id: PartHash,
    /// The lines of the scanned source; empty where there was none.
    #[serde(with = "hex")]
    pub lines: Vec<u8>,
    /// Of the place where its weaknesses are; zero where there is none.
    #[serde(with = "hex", default)]
    pub weakness_place: PartHash,
    /// The advisories that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<String>,
}

impl Mark {
    /// Of a finding and the hash of its JSON text; `source` are its lines in the scanned source.
    pub fn of(finding: &Finding, content: PartHash, source: Option<Lines>) -> Self {
        let lines = source.as_ref().map(Lines::to_bytes).unwrap_or_default();
        let parts = Parts::of(finding, source);
        let traits = Traits::of(finding);
        let advisories = traits.advisories.iter().map(|id| id.as_str().to_owned());
        Self {
            kind: parts.kind,
            tool: finding.tool.clone(),
            severity: finding.severity,
            target: scope::target_of(finding),
            content,
            base: parts.base().0,
            place: identity::place(parts.kind, finding),
            at: identity::line_and_column(finding),
            tool_id: parts.tool_id.unwrap_or_default(),
            lines,
            weakness_place: traits.place.unwrap_or_default(),
            advisories: advisories.collect(),
        }
    }

    /// What it may have in common with findings of other tools.
    pub fn traits(&self) -> Traits {
        Traits {
            place: (self.weakness_place != PartHash::default()).then_some(self.weakness_place),
            advisories: self
                .advisories
                .iter()
                .filter_map(|id| Advisory::parse(id))
                .collect(),
        }
    }

    /// The hash of its identity's parts.
    pub const fn base(&self) -> Fingerprint {
        Fingerprint(self.base)
    }
}
