//! The converter's numbers against those of another program (`cases/counts.tsv`, made by the
//! samples' own counter, which reads the files with Python's parser).

use tamiz_sdk::model::Finding;

use crate::answer::{convert, counted, kit, report};

#[test]
fn counts_are_those_of_another_parser() {
    let rows = kit().count_rows();
    assert_eq!(rows.len(), 43);
    for row in rows {
        let bytes = report(&row.name);
        let answer = convert(&bytes);
        let raw = counted(&answer.host.findings, |finding| counted_word(&row.name, finding));
        for (word, count) in &row.detail {
            match word.as_str() {
                "runs" => {}
                "errors" => {
                    let told = answer
                        .host
                        .diagnostics
                        .iter()
                        .filter(|diagnostic| diagnostic.code == "tool-error");
                    assert_eq!(told.count(), *count, "{}: errors", row.name);
                }
                // Names of several words, which the table does not hold apart.
                _ if row.name.starts_with("detect-secrets/") => {}
                // The converter takes the rule's level where the result has none.
                _ if row.detail.contains_key("(none)") => {}
                _ => assert_eq!(raw.get(word), Some(count), "{}: {word}", row.name),
            }
        }
    }
}

/// What the other program counted: the raw severity, or what tools without one have instead.
fn counted_word(report: &str, finding: &Finding) -> String {
    let raw = finding.severity_raw.clone().unwrap_or_default();
    let format = report.split('/').next().unwrap_or_default();
    match format {
        "checkov" => finding.tags.first().cloned().unwrap_or_default(),
        "eslint" => if raw == "2" { "error" } else { "warning" }.to_owned(),
        "gitleaks" => finding.rule_id.clone(),
        "kingfisher" => finding.rule_name.clone().unwrap_or_default(),
        "ruff" => finding.rule_id.chars().take(2).collect(),
        _ => raw,
    }
}

/// The level that only the rule gives, which stands behind the results in semgrep's SARIF: the same
/// scan's JSON says it in each result.
#[test]
fn semgreps_two_formats_agree() {
    let json = convert(&report("semgrep/vulnshop.json")).host.findings;
    let sarif = convert(&report("sarif/semgrep-vulnshop.sarif")).host.findings;
    let key = |finding: &Finding| {
        // SARIF's tags are sorted, so that the order of the CWEs is lost there.
        let mut cwe = finding.cwe.clone();
        cwe.sort_unstable();
        let (rule, severity, confidence) = (&finding.rule_id, finding.severity, finding.confidence);
        format!(
            "{} {rule} {severity:?} {confidence:?} {cwe:?} {:?}",
            finding.tool,
            crate::answer::place(finding)
        )
    };
    assert_eq!(counted(&json, key), counted(&sarif, key));
}
