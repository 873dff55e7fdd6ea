//! What a scan looks at: the alerts that it may find gone are those of its scope.
//!
//! A scope is a tool, a type of scan, a target and a configuration. Of a target in the network it is the task's; of an
//! imported report it is the host that a finding names, or else what the report says that it is about, such as an image,
//! so that a report about one closes nothing of another. Of source code it is the project's branch, environment and
//! category. The tool's version is no part of it, nor is the
//! plugin's.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::finding::{Diagnostic, Finding};
use crate::identity::field;
use crate::location::Location;
use crate::task::ScanType;

/// A branch, environment or category, in characters.
pub const LABEL_CHARACTERS_MAX: usize = 200;
/// What a report is about, in bytes; a longer name is none.
pub const TARGET_BYTES_MAX: usize = 500;
/// The code of a diagnostic by which a plugin names what a report is about; its message is the name and nothing else. It
/// speaks for a report without findings, too. And the key in `extra` of a finding's own.
pub const TARGET_WORD: &str = "scan-target";

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
        Some(Location::Url { url, .. }) => host_and_port(url).unwrap_or_default(),
        Some(Location::Endpoint(at)) => at.label().to_ascii_lowercase(),
        Some(Location::File { .. } | Location::Domain { .. } | Location::Flow { .. }) | None => {
            let own = finding.extra.get(TARGET_WORD).and_then(serde_json::Value::as_str);
            own.and_then(target_named).unwrap_or_default()
        }
    }
}

/// What a report says that it is about, by the diagnostics of its conversion.
pub fn targets_of_report(diagnostics: &[Diagnostic]) -> BTreeSet<String> {
    let told = diagnostics.iter().filter(|told| told.code == TARGET_WORD);
    told.filter_map(|told| target_named(&told.message)).collect()
}

/// A target by the name that a report gives it: of an address its host and port, as of a finding there.
fn target_named(name: &str) -> Option<String> {
    let name = name.trim();
    let target = if name.contains("://") {
        host_and_port(name)?
    } else {
        name.to_ascii_lowercase()
    };
    (!target.is_empty() && target.len() <= TARGET_BYTES_MAX).then_some(target)
}

/// Host and port of an address; the port of its scheme where it has none.
fn host_and_port(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let host = url.host_str()?;
    Some(match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::LogLevel;
    use crate::finding::tests::plain;

    #[test]
    fn a_report_names_its_targets_as_findings_name_theirs() {
        let told = |code: &str, message: &str| Diagnostic {
            level: LogLevel::Info,
            code: code.into(),
            message: message.into(),
            at: None,
        };
        let long = "x".repeat(TARGET_BYTES_MAX + 1);
        let diagnostics = [
            told(TARGET_WORD, "https://Shop.test/login"),
            told(TARGET_WORD, "Mail.test:25"),
            told(TARGET_WORD, "registry.test/shop"),
            told("tool-error", "https://other.test"),
            told(TARGET_WORD, " "),
            told(TARGET_WORD, &long),
        ];
        let named: Vec<String> = targets_of_report(&diagnostics).into_iter().collect();
        assert_eq!(named, ["mail.test:25", "registry.test/shop", "shop.test:443"]);
    }

    #[test]
    fn a_finding_without_a_host_may_name_its_target() {
        let mut finding = plain();
        assert_eq!(target_of(&finding), "");
        finding
            .extra
            .insert(TARGET_WORD.into(), "registry.test/shop".into());
        assert_eq!(target_of(&finding), "registry.test/shop");
        finding.locations = vec![Location::Url {
            url: "http://shop.test/a".into(),
            method: None,
            parameter: None,
            evidence: None,
        }];
        assert_eq!(target_of(&finding), "shop.test:80", "a place is nearer");
    }
}
