//! The converter's numbers against those of another program (`cases/counts.tsv`, made by the
//! samples' own counter, which reads the files with Python's parser).

use std::collections::BTreeMap;
use std::fs;

use crate::answer::{cases_dir, convert, counted, report};

struct Row {
    name: String,
    bytes: usize,
    records: usize,
    /// Raw severities or levels, and `errors`; `(none)` stands for results without a level.
    detail: BTreeMap<String, usize>,
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(cases_dir().join("counts.tsv")).expect("the table of counts");
    let number = |text: &str| text.parse().expect("a number");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let pairs = cells[3].split(' ').filter_map(|pair| pair.split_once('='));
        Row {
            name: cells[0].to_owned(),
            bytes: number(cells[1]),
            records: number(cells[2]),
            detail: pairs
                .map(|(word, count)| (word.to_owned(), number(count)))
                .collect(),
        }
    };
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(row)
        .collect()
}

#[test]
fn counts_are_those_of_another_parser() {
    let rows = rows();
    assert_eq!(rows.len(), 20);
    for row in rows {
        let bytes = report(&row.name);
        assert_eq!(bytes.len(), row.bytes, "{}", row.name);
        let answer = convert(&bytes);
        let outcome = answer.outcome.expect(&row.name);
        assert_eq!(
            (outcome.records as usize, outcome.skipped),
            (row.records, 0),
            "{}",
            row.name
        );

        let raw = counted(&answer.host.findings, |finding| {
            finding.severity_raw.clone().unwrap_or_default()
        });
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
                // The converter takes the rule's level where the result has none.
                _ if row.detail.contains_key("(none)") => {}
                _ => assert_eq!(raw.get(word), Some(count), "{}: {word}", row.name),
            }
        }
    }
}

/// The level that only the rule gives, which stands behind the results in semgrep's SARIF: the same
/// scan's JSON says it in each result.
#[test]
fn semgreps_two_formats_agree() {
    let json = convert(&report("semgrep/vulnshop.json")).host.findings;
    let sarif = convert(&report("sarif/semgrep-vulnshop.sarif")).host.findings;
    let key = |finding: &tamiz_sdk::model::Finding| {
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
