//! The findings as SARIF 2.1.0 (OASIS), the way code hosts read it: one run per tool, rules by id,
//! our fingerprint as a partial fingerprint, `security-severity` as a number: the CVSS score where there is
//! one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use tamiz_core::severity::Severity;

use super::report::{Finding, Report};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The key of our fingerprints; a new way of making them gets a new one.
const FINGERPRINT_KEY: &str = "tamiz/v1";

pub(in crate::cli) fn render(report: &Report) -> Value {
    let mut tools: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        tools.entry(finding.tool.as_str()).or_default().push(finding);
    }
    // A document without a run would say that nothing ran.
    if tools.is_empty() {
        tools.insert("tamiz", Vec::new());
    }
    let runs: Vec<Value> = tools
        .iter()
        .map(|(tool, findings)| run(report, tool, findings))
        .collect();
    json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": runs })
}

fn run(report: &Report, tool: &str, findings: &[&Finding]) -> Value {
    let mut rules: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        rules.entry(finding.rule_id.as_str()).or_default().push(finding);
    }
    let index: BTreeMap<&str, usize> = rules
        .keys()
        .enumerate()
        .map(|(index, rule)| (*rule, index))
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            result(
                finding,
                index.get(finding.rule_id.as_str()).copied().unwrap_or_default(),
            )
        })
        .collect();
    json!({
        "tool": { "driver": { "name": tool, "rules": rules.values().filter_map(|findings| rule(findings)).collect::<Vec<_>>() } },
        "automationDetails": { "id": format!("tamiz/{}/{}", report.project.name, report.task) },
        "columnKind": "unicodeCodePoints",
        "results": results,
    })
}

/// What is said of a rule by its findings, of which the first is the worst.
fn rule(findings: &[&Finding]) -> Option<Value> {
    let finding = findings.first()?;
    let scores = findings.iter().filter_map(|finding| finding.cvss_score);
    let score = scores.reduce(f64::max).map_or_else(
        || score(finding.severity).to_owned(),
        |score| format!("{score:.1}"),
    );
    // The standard wants each tag once.
    let mut tags: Vec<String> = finding
        .cwe
        .iter()
        .map(|cwe| format!("external/cwe/cwe-{cwe}"))
        .collect();
    tags.sort();
    tags.dedup();
    Some(json!({
        "id": finding.rule_id,
        "shortDescription": { "text": non_empty(&finding.title, &finding.rule_id) },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": { "security-severity": score, "tags": tags },
    }))
}

fn result(finding: &Finding, rule_index: usize) -> Value {
    let mut result = json!({
        "ruleId": finding.rule_id,
        "ruleIndex": rule_index,
        "level": level(finding.severity),
        "message": { "text": non_empty(&finding.message, &finding.title) },
        "partialFingerprints": { FINGERPRINT_KEY: finding.fingerprint },
        "properties": {
            "id": finding.id,
            "severity": finding.severity,
            "confidence": finding.confidence,
            "cwe": finding.cwe,
            "cve": finding.cve,
            "cvssScore": finding.cvss_score,
        },
    });
    if finding.occurrence_count > 0 {
        result["occurrenceCount"] = json!(finding.occurrence_count + 1);
    }
    if let Some(file) = &finding.file {
        let mut location = json!({ "artifactLocation": { "uri": uri_of(file) } });
        if let Some(line) = finding.line.filter(|line| *line > 0) {
            location["region"] = json!({ "startLine": line });
            if let Some(end) = finding.end_line.filter(|end| *end >= line) {
                location["region"]["endLine"] = json!(end);
            }
        }
        result["locations"] = json!([{ "physicalLocation": location }]);
    } else if let Some(place) = &finding.location {
        result["locations"] = json!([{ "logicalLocations": [{ "fullyQualifiedName": place }] }]);
    }
    result
}

/// SARIF wants a text that says something.
fn non_empty<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    match (text.trim(), otherwise.trim()) {
        ("", "") => "no message",
        ("", _) => otherwise,
        _ => text,
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// The middle of the CVSS bands that code hosts sort by.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.5",
        Severity::Info => "0.0",
    }
}

/// A relative URI of a path: everything but unreserved characters and `/` is percent-encoded.
fn uri_of(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into());
            }
            // Writing into a String cannot fail.
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn the_document_keeps_its_shape() {
        insta::assert_json_snapshot!(render(&sample()));
    }

    #[test]
    fn every_result_points_to_its_rule() {
        let document = render(&sample());
        let runs = document["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        for run in runs {
            for result in run["results"].as_array().unwrap() {
                let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
            }
        }
    }

    #[test]
    fn no_findings_are_still_a_run() {
        let mut report = sample();
        report.findings.clear();
        let document = render(&report);
        assert_eq!(document["runs"][0]["results"], json!([]));
        assert_eq!(document["runs"][0]["tool"]["driver"]["name"], "tamiz");
    }
}
