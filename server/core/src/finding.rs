//! The shared model of one result of one task, as it comes out of a plugin and goes into the store.

use serde::{Deserialize, Serialize};

use crate::location::Location;
use crate::severity::{Confidence, Severity};

/// Bytes of an input that something was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Which of the conversion's inputs, from 0; the first is not written, as before there were several.
    #[serde(default, skip_serializing_if = "is_first")]
    pub input: u32,
    /// From the start of the input, in bytes.
    pub offset: u32,
    /// In bytes.
    pub length: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_first(input: &u32) -> bool {
    *input == 0
}

/// One result of one task. Texts are bounded by [`crate::limits`] before they get here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The producing tool, lower case.
    pub tool: String,
    /// The tool's rule.
    pub rule_id: String,
    /// The rule's readable name.
    pub rule_name: Option<String>,
    /// One line.
    pub title: String,
    /// The whole explanation.
    pub message: String,
    /// In our words.
    pub severity: Severity,
    /// In the tool's word.
    pub severity_raw: Option<String>,
    /// Apart from severity.
    pub confidence: Confidence,
    /// `security`, `secret`, …
    pub category: Option<String>,
    /// The first is primary.
    pub locations: Vec<Location>,
    /// CWE numbers, the first is primary.
    pub cwe: Vec<u32>,
    /// Advisory ids (CVE, GHSA, OSV).
    pub cve: Vec<String>,
    /// As it stood in the report.
    pub cvss_vector: Option<String>,
    /// To read more; labels, never fetched.
    pub references: Vec<String>,
    /// Such as `owasp:A03:2021`.
    pub tags: Vec<String>,
    /// What to do about it.
    pub remediation: Option<String>,
    /// The tool's own identity for the result.
    pub tool_fingerprint: Option<String>,
    /// Where in the report it stood.
    pub origin: Option<Span>,
    /// Anything else, by key.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// The urgency of a diagnostic or a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something was left out or changed.
    Warn,
    /// Something is missing from the result.
    Error,
}

/// What a reader of the task must know about its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How urgent.
    pub level: LogLevel,
    /// A stable word such as `record-unreadable`.
    pub code: String,
    /// What, where, why.
    pub message: String,
    /// Bytes of the input it speaks of.
    pub at: Option<Span>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A finding without anything that need not be there.
    pub(crate) fn plain() -> Finding {
        Finding {
            tool: "tool".into(),
            rule_id: "rule".into(),
            rule_name: None,
            title: "title".into(),
            message: "message".into(),
            severity: Severity::High,
            severity_raw: None,
            confidence: Confidence::High,
            category: None,
            locations: vec![],
            cwe: vec![],
            cve: vec![],
            cvss_vector: None,
            references: vec![],
            tags: vec![],
            remediation: None,
            tool_fingerprint: None,
            origin: None,
            extra: serde_json::Map::new(),
        }
    }
}
