//! The totals of one task: by severity, by rule, by file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::{Diagnostic, Finding};
use crate::limits::DIAGNOSTICS_PER_TASK_MAX;
use crate::location::Location;
use crate::plugin_fault::PluginRef;
use crate::scope::Comparison;
use crate::severity::Severity;
use crate::text::cut;

/// Rules and files counted one by one; what comes after them is counted as one rest.
const KEYS_MAX: usize = 1_000;
/// A diagnostic's message, in bytes.
const DIAGNOSTIC_BYTES_MAX: usize = 2_000;
/// The key of the rest. No rule or path is an empty string.
const REST: &str = "";

/// How much of the report was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// All of it.
    #[default]
    Complete,
    /// It ended too early.
    Truncated,
    /// Something is missing, and a diagnostic says what: records, or a part that the tool did not look at.
    Partial,
}

/// How much of its target the tool looked at, by its own report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// It does not tell.
    #[default]
    Unknown,
    /// All.
    Whole,
    /// Time-outs, skipped files, rules that did not parse.
    Partial,
}

/// What `scan_result.summary` holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Findings stored.
    pub findings: u32,
    /// Further records that say what one of the findings says. With the findings and the skipped ones they
    /// are all records of the reports.
    #[serde(default)]
    pub occurrences: u32,
    /// Records the reports held, as the plugin counted them.
    pub records: u32,
    /// Records that could not be read; each has a diagnostic while there is room for it.
    pub skipped: u32,
    /// How much was understood.
    pub completeness: Completeness,
    /// How much of the target was looked at.
    #[serde(default)]
    pub coverage: Coverage,
    /// The tool that wrote the report, as far as it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// How the scan differs from the one before; of an attempt that failed, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// The recognised format of each report.
    pub formats: Vec<String>,
    /// Findings by severity, all five always there.
    pub by_severity: BTreeMap<String, u32>,
    /// Findings by rule, the first thousand rules; the rest under the empty key.
    pub by_rule: BTreeMap<String, u32>,
    /// Findings by file, the first thousand files; the rest under the empty key.
    pub by_file: BTreeMap<String, u32>,
    /// What the plugin and the host had to say, the first thousand.
    pub diagnostics: Vec<Diagnostic>,
    /// Diagnostics beyond the first thousand.
    pub diagnostics_dropped: u32,
    /// The plugin that read the reports; of results from before it was noted, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRef>,
}

impl Summary {
    /// A summary of nothing, with every severity at zero.
    pub fn empty() -> Self {
        let by_severity = Severity::ALL
            .into_iter()
            .map(|severity| (severity.to_string(), 0))
            .collect();
        Self {
            by_severity,
            ..Self::default()
        }
    }

    /// Whether what it does not speak of is gone: a report that is whole, of a tool that looked at something and left
    /// nothing out. An empty report must show that the tool looked. Records that were left out because they are no
    /// findings, such as checks that passed, take nothing from it: what could not be read makes the report partial.
    pub fn proves_absence(&self) -> bool {
        self.completeness == Completeness::Complete
            && (self.coverage == Coverage::Whole || self.coverage == Coverage::Unknown && self.records > 0)
    }

    /// Counts one stored finding.
    pub fn count(&mut self, finding: &Finding) {
        self.findings += 1;
        *self.by_severity.entry(finding.severity.to_string()).or_insert(0) += 1;
        add(&mut self.by_rule, &finding.rule_id);
        if let Some(Location::File { path, .. }) = finding.locations.first() {
            add(&mut self.by_file, path);
        }
    }

    /// Keeps one diagnostic, or counts it when there is no more room.
    pub fn note(&mut self, mut diagnostic: Diagnostic) {
        if self.diagnostics.len() < DIAGNOSTICS_PER_TASK_MAX {
            diagnostic.message =
                crate::text::printable(cut(&diagnostic.message, DIAGNOSTIC_BYTES_MAX)).into_owned();
            self.diagnostics.push(diagnostic);
        } else {
            self.diagnostics_dropped += 1;
        }
    }
}

fn add(counts: &mut BTreeMap<String, u32>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count += 1;
    } else {
        let key = if counts.len() < KEYS_MAX { key } else { REST };
        *counts.entry(key.to_owned()).or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_beyond_the_limit_are_counted_as_one_rest() {
        let mut counts = BTreeMap::new();
        for key in 0..KEYS_MAX + 5 {
            add(&mut counts, &format!("rule-{key}"));
        }
        add(&mut counts, "rule-0");
        assert_eq!(counts[REST], 5);
        assert_eq!(counts["rule-0"], 2);
        assert_eq!(counts.len(), KEYS_MAX + 1);
    }
}
