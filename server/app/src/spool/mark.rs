//! What a spool says of a finding beside its text, so that the text need not be read to compare scans.

use serde::{Deserialize, Serialize};
use tamiz_core::identity::{self, Fingerprint, Kind, Lines, PartHash, Parts};
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
}

impl Mark {
    /// Of a finding and the hash of its JSON text; `source` are its lines in the scanned source.
    pub fn of(finding: &Finding, content: PartHash, source: Option<Lines>) -> Self {
        let lines = source.as_ref().map(Lines::to_bytes).unwrap_or_default();
        let parts = Parts::of(finding, source);
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
        }
    }

    /// The hash of its identity's parts.
    pub const fn base(&self) -> Fingerprint {
        Fingerprint(self.base)
    }
}
