//! One conversion's whole answer, in a form to be compared and written down.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::{ConvertError, Finding, Location, Outcome};

/// The folder with the cases.
pub(crate) fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Every report of the cases, unpacked: name and content, in order.
pub(crate) fn reports() -> Vec<(String, Vec<u8>)> {
    let mut reports = Vec::new();
    for folder in ["semgrep", "opengrep", "sarif", "hostile"] {
        let entries = fs::read_dir(cases_dir().join(folder)).expect("a folder of cases");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        paths.retain(|path| !path.to_string_lossy().ends_with(".expected.json"));
        paths.sort();
        for path in paths {
            let file = path.file_name().expect("a file").to_string_lossy().into_owned();
            let name = format!("{folder}/{}", file.strip_suffix(".gz").unwrap_or(&file));
            reports.push((name, unpacked(&path)));
        }
    }
    reports
}

/// One report of the cases.
pub(crate) fn report(name: &str) -> Vec<u8> {
    let path = cases_dir().join(name);
    unpacked(&if path.exists() {
        path
    } else {
        cases_dir().join(format!("{name}.gz"))
    })
}

fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("a readable case");
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut content)
        .expect("gzip");
    content
}

/// What a conversion answered and emitted.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Outcome, ConvertError>,
    pub(crate) host: MemoryHost,
}

/// Converts one report.
pub(crate) fn convert(bytes: &[u8]) -> Answer {
    convert_input(MemoryInput::new("report", bytes), MemoryHost::default())
}

impl Answer {
    /// Messages of the diagnostics with a code.
    pub(crate) fn told(&self, code: &str) -> Vec<&str> {
        let told = self.host.diagnostics.iter().filter(|told| told.code == code);
        told.map(|told| told.message.as_str()).collect()
    }
}

/// Converts one input with a host.
pub(crate) fn convert_input(input: MemoryInput, mut host: MemoryHost) -> Answer {
    let outcome = tamiz_codeaudit::convert(vec![Box::new(input)], "{}", &mut host);
    Answer { outcome, host }
}

impl Answer {
    /// Findings beyond this many are only counted in the written form.
    const FINDINGS_WRITTEN_MAX: usize = 60;

    /// Everything, or for many findings their counts.
    pub(crate) fn written(&self) -> Value {
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
    pub(crate) fn check_sound(&self, name: &str) {
        for finding in &self.host.findings {
            assert!(
                !finding.tool.is_empty() && !finding.rule_id.is_empty() && !finding.title.is_empty(),
                "{name}"
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
        let Ok(outcome) = &self.outcome else { return };
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
}

/// A finding's first place: file and line.
pub(crate) fn place(finding: &Finding) -> (String, u32) {
    match finding.locations.first() {
        Some(Location::File(file)) => (file.path.clone(), file.start.map_or(0, |start| start.line)),
        _ => (String::new(), 0),
    }
}

/// How many findings share what `key` says.
pub(crate) fn counted(findings: &[Finding], key: impl Fn(&Finding) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(key(finding)).or_insert(0) += 1;
    }
    counts
}

/// Leaves out what says nothing, and shortens what only fills.
fn without_nothing(value: Value) -> Value {
    const TEXT_WRITTEN_MAX: usize = 400;
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, without_nothing(value)))
                .filter(|(_, value)| !value.is_null() && *value != json!([]) && *value != json!(""))
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
