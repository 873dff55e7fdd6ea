//! One conversion's whole answer, in a form to be compared and written down.

use std::any::Any;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tamiz_core::{Diagnostic, Finding};
use tamiz_host::{ConvertFailure, Converted, Outcome};

use super::sink::KeepingSink;

/// Findings beyond this many are only counted in the written form, beside the first and the last.
const FINDINGS_WRITTEN_MAX: usize = 300;
/// A longer text is written as its beginning and its length.
const TEXT_WRITTEN_BYTES_MAX: usize = 2000;

pub(super) struct Answer {
    outcome: Result<Outcome, ConvertFailure>,
    findings: Vec<Finding>,
    diagnostics: Vec<Diagnostic>,
    artifacts: Vec<Value>,
    pub(super) log: Vec<String>,
}

impl Answer {
    pub(super) fn new(converted: Converted) -> Self {
        let sink = (converted.sink as Box<dyn Any>).downcast::<KeepingSink>();
        // The host gives back what it was given.
        let sink = sink.map(|sink| *sink).unwrap_or_default();
        Self {
            outcome: converted.outcome,
            findings: sink.findings,
            diagnostics: sink.diagnostics,
            artifacts: sink.artifacts,
            log: sink.log,
        }
    }

    /// The answer, unless the host was at fault.
    pub(super) fn hosts_failure(self) -> Result<Self, ConvertFailure> {
        match self.outcome {
            Err(failure) if failure.is_the_hosts() => Err(failure),
            _ => Ok(self),
        }
    }

    /// What went wrong, if the plugin did not end by itself.
    pub(super) fn crash(&self) -> Option<String> {
        match &self.outcome {
            Ok(_)
            | Err(
                ConvertFailure::Unrecognized { .. }
                | ConvertFailure::Corrupt { .. }
                | ConvertFailure::BadOptions { .. },
            ) => None,
            Err(failure) => Some(failure.to_string()),
        }
    }

    /// One line.
    pub(super) fn summary(&self) -> String {
        match &self.outcome {
            Ok(outcome) => format!(
                "{} findings, {} skipped, {}",
                outcome.findings,
                outcome.skipped,
                outcome.completeness.as_str()
            ),
            Err(failure) => failure.to_string(),
        }
    }

    /// Everything; of many findings their counts.
    pub(super) fn written(&self) -> Value {
        let outcome = match &self.outcome {
            Ok(outcome) => written_outcome(outcome),
            Err(failure) => json!({
                "error": failure.code(),
                "message": failure.to_string(),
                "so_far": so_far(failure).map(written_outcome),
            }),
        };
        let mut written = json!({
            "outcome": outcome,
            "diagnostics": self.diagnostics,
            "artifacts": self.artifacts,
        });
        if self.findings.len() <= FINDINGS_WRITTEN_MAX {
            written["findings"] = json!(self.findings);
        } else {
            written["counts"] = json!({
                "severity": self.counted(|finding| finding.severity.as_str().to_owned()),
                "rule": self.counted(|finding| finding.rule_id.clone()),
            });
            written["first"] = json!(self.findings.first());
            written["last"] = json!(self.findings.last());
        }
        without_nothing(written)
    }

    fn counted(&self, key: impl Fn(&Finding) -> String) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(key(finding)).or_insert(0) += 1;
        }
        counts
    }
}

/// How far a plugin of world 1.0 came before the report's envelope ended it.
fn so_far(failure: &ConvertFailure) -> Option<&Outcome> {
    match failure {
        ConvertFailure::Corrupt { so_far, .. } => so_far.as_deref(),
        _ => None,
    }
}

fn written_outcome(outcome: &Outcome) -> Value {
    json!({
        "completeness": outcome.completeness.as_str(),
        "coverage": outcome.coverage.as_str(),
        "format": outcome.format,
        "tool": outcome.tool,
        "tool_version": outcome.tool_version,
        "records": outcome.records,
        "findings": outcome.findings,
        "skipped": outcome.skipped,
    })
}

/// Leaves out what says nothing, and shortens what only fills.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members
                .into_iter()
                .map(|(key, value)| (key, without_nothing(value)));
            Value::Object(
                kept.filter(|(_, value)| says_something(value))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(entries) => entries.into_iter().map(without_nothing).collect(),
        Value::String(text) if text.len() > TEXT_WRITTEN_BYTES_MAX => {
            let start = tamiz_core::text::cut(&text, TEXT_WRITTEN_BYTES_MAX / 4);
            Value::String(format!("{start}… ({} bytes)", text.len()))
        }
        other => other,
    }
}

fn says_something(value: &Value) -> bool {
    !(value.is_null() || *value == json!([]) || *value == json!("") || *value == json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_left_out_and_long_texts_are_cut() {
        let value =
            json!({ "a": null, "b": [], "c": "", "d": {}, "e": 0, "f": ["", "x"], "g": "y".repeat(3000) });
        let kept = without_nothing(value);
        assert_eq!(kept["e"], 0);
        assert_eq!(kept["f"], json!(["", "x"]));
        assert!(kept["g"].as_str().unwrap().ends_with("… (3000 bytes)"));
        assert_eq!(kept.as_object().unwrap().len(), 3);
    }

    #[test]
    fn a_plugin_that_answers_did_not_crash() {
        let answer = |outcome| Answer {
            outcome,
            findings: Vec::new(),
            diagnostics: Vec::new(),
            artifacts: Vec::new(),
            log: Vec::new(),
        };
        let message = "no".to_owned();
        assert_eq!(
            answer(Err(ConvertFailure::Unrecognized { message })).crash(),
            None
        );
        assert!(answer(Err(ConvertFailure::StackOverflow)).crash().is_some());
        assert!(answer(Err(ConvertFailure::HostBusy)).hosts_failure().is_err());
    }
}
