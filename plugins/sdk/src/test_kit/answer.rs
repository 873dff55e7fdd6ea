//! One conversion's whole answer, in a form to be compared and written down.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::memory::MemoryHost;
use crate::model::{Completeness, ConvertError, Finding, Location, Outcome};

/// What a conversion answered and emitted.
pub struct Answer {
    /// Its last word.
    pub outcome: Result<Outcome, ConvertError>,
    /// What it emitted.
    pub host: MemoryHost,
}

impl Answer {
    /// Findings beyond this many are only counted in the written form.
    const FINDINGS_WRITTEN_MAX: usize = 60;

    /// Messages of the diagnostics with a code.
    pub fn told(&self, code: &str) -> Vec<&str> {
        let told = self.host.diagnostics.iter().filter(|told| told.code == code);
        told.map(|told| told.message.as_str()).collect()
    }

    /// Everything, or for many findings their counts.
    pub fn written(&self) -> Value {
        let outcome = match &self.outcome {
            Ok(outcome) => json!(outcome),
            Err(error) => json!({ "error": error }),
        };
        let findings = &self.host.findings;
        let mut written = json!({ "outcome": outcome, "diagnostics": self.host.diagnostics });
        if findings.len() <= Self::FINDINGS_WRITTEN_MAX {
            written["findings"] = json!(findings);
        } else {
            written["counts"] = json!({
                "severity": counted(findings, |finding| format!("{:?}", finding.severity)),
                "rule": counted(findings, |finding| finding.rule_id.clone()),
                "file": counted(findings, |finding| place(finding).0),
            });
            written["first"] = json!(findings.first());
            written["last"] = json!(findings.last());
        }
        without_nothing(written)
    }

    /// What every answer must fulfil, whatever the report.
    pub fn check_sound(&self, name: &str) {
        for finding in &self.host.findings {
            assert!(
                !finding.tool.is_empty() && !finding.rule_id.is_empty() && !finding.title.is_empty(),
                "{name}: {finding:?}"
            );
            let text = serde_json::to_string(finding).expect("a finding");
            for forbidden in ["\\u0000", "\\u001b", "\u{202e}"] {
                assert!(!text.contains(forbidden), "{name}: {forbidden} in {text}");
            }
            for (key, value) in &finding.extra {
                serde_json::from_str::<Value>(value)
                    .unwrap_or_else(|error| panic!("{name}: extra {key}: {error}"));
            }
            assert_ne!(
                finding.tool_fingerprint.as_deref(),
                Some("requires login"),
                "{name}"
            );
        }
        let outcome = match &self.outcome {
            Ok(outcome) => outcome,
            Err(ConvertError::Corrupt(broken)) => {
                assert_ne!(broken.so_far.completeness, Completeness::Complete, "{name}");
                &broken.so_far
            }
            Err(_) => return,
        };
        assert_eq!(outcome.findings as usize, self.host.findings.len(), "{name}");
        assert_eq!(
            outcome.findings + outcome.skipped,
            outcome.records,
            "{name}: every record is accounted for"
        );
        if outcome.skipped > 0 {
            assert!(
                !self.host.diagnostics.is_empty(),
                "{name}: what is skipped has a diagnostic"
            );
        }
    }

    /// Where each finding stood in the input, in the order of emission.
    pub(super) fn origins(&self) -> Vec<(usize, usize)> {
        let origin = |finding: &Finding| {
            let span = finding.origin.expect("a finding of a report has an origin");
            (span.offset as usize, (span.offset + span.length) as usize)
        };
        self.host.findings.iter().map(origin).collect()
    }
}

/// A finding's first place: file and line, address, host, name.
pub fn place(finding: &Finding) -> (String, u32) {
    match finding.locations.first() {
        Some(Location::File(file)) => (file.path.clone(), file.start.map_or(0, |start| start.line)),
        Some(Location::Url(url)) => (url.url.clone(), 0),
        Some(Location::Endpoint(endpoint)) => (endpoint.host.clone(), endpoint.port.unwrap_or(0)),
        Some(Location::Domain(domain)) => (domain.name.clone(), 0),
        Some(Location::Flow(flow)) => (flow.source.host.clone(), flow.packet.unwrap_or(0)),
        None => (String::new(), 0),
    }
}

/// How many findings share what `key` says.
pub fn counted(findings: &[Finding], key: impl Fn(&Finding) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(key(finding)).or_insert(0) += 1;
    }
    counts
}

/// Leaves out what says nothing (of a place, that it is in the only input), and shortens what only fills.
fn without_nothing(value: Value) -> Value {
    const TEXT_WRITTEN_MAX: usize = 400;
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, without_nothing(value)))
                .filter(|(_, value)| !value.is_null() && *value != json!([]) && *value != json!(""))
                .filter(|(key, value)| key != "input" || *value != json!(0))
                .collect(),
        ),
        Value::Array(entries) => entries.into_iter().map(without_nothing).collect(),
        Value::String(text) if text.len() > TEXT_WRITTEN_MAX => {
            let start: String = text.chars().take(TEXT_WRITTEN_MAX / 4).collect();
            Value::String(format!("{start}… ({} bytes)", text.len()))
        }
        other => other,
    }
}
