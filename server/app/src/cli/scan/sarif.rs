//! The findings of a scan as SARIF 2.1.0, by the writer of the exports: here each stands for an open alert, in one file.

use chrono::{DateTime, Utc};
use serde_json::json;
use tamiz_core::export::sarif::{Limits, Sarif};
use tamiz_core::export::{Exported, Head, Writer as _};
use tamiz_core::identity::{Fingerprint, fingerprint};
use tamiz_core::{AlertState, Confidence, Location, Position, ScanType};
use uuid::Uuid;

use super::report::{Finding, Report};

/// One document is printed, whatever there is. A run has no more than code hosts take.
const LIMITS: Limits = Limits {
    runs_per_file: usize::MAX,
    bytes_per_file: usize::MAX,
    ..Limits::GITHUB
};

pub(in crate::cli) fn render(report: &Report, now: DateTime<Utc>) -> String {
    let head = Head {
        id: Uuid::nil(),
        project: report.project.name.clone(),
        product: None,
        author: String::new(),
        run: report.task.clone(),
        made_at: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // a run is of one tool
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by(|one, other| (&one.tool, &one.rule_id).cmp(&(&other.tool, &other.rule_id)));
    let mut writer = Sarif::new(head, LIMITS);
    let mut out = Vec::new();
    writer.begin(&mut out);
    for finding in findings {
        writer.alert(&exported(finding, &report.scan_type, now), &mut out);
    }
    writer.end(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn exported(finding: &Finding, scan_type: &ScanType, now: DateTime<Utc>) -> Exported {
    let more = finding.more.clone();
    let confidence = finding.confidence.as_ref().map(|word| json!(word));
    let confidence = confidence.and_then(|word| serde_json::from_value(word).ok());
    let mut extra = more.extra;
    if finding.occurrence_count > 0 {
        extra.insert("occurrence-count".to_owned(), json!(finding.occurrence_count + 1));
    }
    let locations = if more.locations.is_empty() {
        place(finding).into_iter().collect()
    } else {
        more.locations
    };
    Exported {
        id: finding.id.parse().unwrap_or_default(),
        finding: tamiz_core::Finding {
            tool: finding.tool.clone(),
            rule_id: finding.rule_id.clone(),
            rule_name: more.rule_name,
            title: finding.title.clone(),
            message: finding.message.clone(),
            severity: finding.severity,
            severity_raw: more.severity_raw,
            confidence: confidence.unwrap_or(Confidence::Unknown),
            category: more.category,
            locations,
            cwe: finding.cwe.clone(),
            cve: finding.cve.clone(),
            cvss_vector: more.cvss_vector,
            references: more.references,
            tags: more.tags,
            remediation: more.remediation,
            tool_fingerprint: more.tool_fingerprint,
            origin: None,
            extra,
        },
        places: Vec::new(),
        fingerprint: identity(&finding.fingerprint),
        fingerprint_version: fingerprint::VERSION,
        state: AlertState::Open,
        dismissal: None,
        severity: finding.severity,
        cvss_score: finding.cvss_score,
        first_seen: now,
        last_seen: now,
        baseline: None,
        scan_type: scan_type.clone(),
        tool_version: None,
    }
}

/// Of a finding without its places: the file that it names.
fn place(finding: &Finding) -> Option<Location> {
    let position = |line: Option<u64>| {
        let line = u32::try_from(line?).ok().filter(|line| *line > 0)?;
        Some(Position { line, column: None })
    };
    finding.file.clone().map(|path| Location::File {
        path,
        start: position(finding.line),
        end: position(finding.end_line),
        snippet: None,
    })
}

/// From hexadecimal digits; what is too short ends with zeros.
fn identity(digits: &str) -> Fingerprint {
    let mut bytes = [0; 32];
    for (byte, known) in bytes.iter_mut().zip(hex::decode(digits).unwrap_or_default()) {
        *byte = known;
    }
    Fingerprint(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::report::tests::sample;
    use super::*;

    fn document(report: &Report) -> Value {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        serde_json::from_str(&render(report, now)).unwrap()
    }

    #[test]
    fn the_document_keeps_its_shape() {
        insta::assert_json_snapshot!(document(&sample()));
    }

    #[test]
    fn every_result_points_to_its_rule() {
        let document = document(&sample());
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
        let document = document(&report);
        assert_eq!(document["runs"][0]["results"], json!([]));
        assert_eq!(document["runs"][0]["tool"]["driver"]["name"], "tamiz");
    }
}
