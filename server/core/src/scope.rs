//! What a scan looks at: the alerts that it may find gone are those of its scope.
//!
//! A scope is a tool, a type of scan, a target and a configuration. Of a target in the network it is the task's; of an
//! imported report it is the host that a finding names, so that a report about one host closes nothing of another. Of
//! source code it is the project's branch, environment and category. The tool's version is no part of it, nor is the
//! plugin's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::finding::Finding;
use crate::identity::field;
use crate::location::Location;
use crate::task::ScanType;

/// A branch, environment or category, in characters.
pub const LABEL_CHARACTERS_MAX: usize = 200;

/// What whoever asks for a scan says of what it looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ScopeLabels {
    /// Of the source code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// Such as `staging`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// Tells scans apart that look at parts of one target, such as the folders of a monorepo.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
}

impl ScopeLabels {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What one kind of scan looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanScope {
    /// The type of scan.
    pub scan_type: ScanType,
    /// The tool.
    pub tool: String,
    /// Host, `host:port` or name; empty for source code.
    pub target: String,
    /// What was said of it.
    pub labels: ScopeLabels,
    /// Hash of what the tool was told, in hex; empty for an imported report.
    pub configuration: String,
}

impl ScanScope {
    /// The SHA-256 of all of it, each text with its length in front.
    pub fn key(&self) -> [u8; 32] {
        let ScopeLabels {
            branch,
            environment,
            category,
        } = &self.labels;
        let mut hash = Sha256::new();
        for text in [
            self.scan_type.as_str(),
            &self.tool,
            &self.target,
            branch,
            environment,
            category,
            &self.configuration,
        ] {
            field(&mut hash, text.as_bytes());
        }
        hash.finalize().into()
    }
}

/// The target that a finding of an imported report speaks of.
pub fn target_of(finding: &Finding) -> String {
    match finding.locations.first() {
        Some(Location::Url { url, .. }) => {
            let url = url::Url::parse(url).ok();
            let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
            let port = url.as_ref().and_then(url::Url::port_or_known_default);
            port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        }
        Some(Location::Endpoint(at)) => at.label().to_ascii_lowercase(),
        Some(Location::File { .. } | Location::Domain { .. } | Location::Flow { .. }) | None => String::new(),
    }
}

/// The hash of what a tool was told, in hex: the options in the order of their keys, and the hash of the rules.
pub fn configuration(options: &serde_json::Map<String, serde_json::Value>, rules: Option<&str>) -> String {
    let sorted: BTreeMap<_, _> = options.iter().collect();
    let mut hash = Sha256::new();
    for (key, value) in sorted {
        for text in [key.as_str(), &value.to_string()] {
            field(&mut hash, text.as_bytes());
        }
    }
    hash.update(rules.unwrap_or_default().as_bytes());
    hex::encode(hash.finalize())
}

/// How a scan differs from the one before in its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Alerts that nobody knew.
    pub new: u32,
    /// Alerts that are where they were, or moved.
    pub unchanged: u32,
    /// Of the unchanged ones, those at another place of the code.
    pub moved: u32,
    /// Alerts that are gone.
    pub fixed: u32,
    /// Alerts that came back.
    pub reopened: u32,
    /// Whether absence proved anything: a report that is whole, of a tool that looked at everything.
    pub closes: bool,
}

impl Comparison {
    /// Of both scopes together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            new: self.new + other.new,
            unchanged: self.unchanged + other.unchanged,
            moved: self.moved + other.moved,
            fixed: self.fixed + other.fixed,
            reopened: self.reopened + other.reopened,
            closes: self.closes || other.closes,
        }
    }
}
