//! What holds for every report, however it is damaged or cut into chunks.

use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::Finding;

use crate::answer::{convert, convert_input, place, report, reports};

/// Larger reports take part with their beginning only: damage is damage.
const BYTES_MAX: usize = 150_000;

fn bounded_reports() -> Vec<(String, Vec<u8>)> {
    let mut reports = reports();
    for (_, bytes) in &mut reports {
        bytes.truncate(BYTES_MAX);
    }
    reports
}

/// What of a SARIF result does not depend on a tool and rules that stand behind a cut.
fn own(finding: &Finding) -> (String, u32) {
    place(finding)
}

/// Formats, and some reports, whose records need what stands behind them for more than their tool's name.
const WITH_WORDS_BEHIND: [&str; 6] = [
    "mobsfscan/",
    "njsscan/",
    "npm-audit/",
    "sarif/files-behind-results.sarif",
    "pip-audit/fixed.json",
    "trivy/sorted-keys.json",
];

/// Only what stands behind the results tells opengrep from semgrep.
fn without_tool(findings: &[Finding]) -> Vec<Finding> {
    findings
        .iter()
        .map(|finding| Finding {
            tool: String::new(),
            ..finding.clone()
        })
        .collect()
}

#[test]
fn a_report_cut_anywhere_gives_the_findings_before_the_cut() {
    for (name, bytes) in bounded_reports() {
        let whole: Vec<_> = convert(&bytes).host.findings;
        for step in 0..=20 {
            let cut = convert(&bytes[..bytes.len() * step / 20]);
            cut.check_sound(&name);
            let found = &cut.host.findings;
            assert!(found.len() <= whole.len(), "{name} at {step}/20");
            let expected = &whole[..found.len()];
            if WITH_WORDS_BEHIND.iter().any(|format| name.starts_with(format)) {
                let origins =
                    |list: &[Finding]| list.iter().map(|finding| finding.origin).collect::<Vec<_>>();
                assert_eq!(origins(found), origins(expected), "{name} at {step}/20");
            } else if name.starts_with("sarif/") {
                assert!(
                    found.iter().map(own).eq(expected.iter().map(own)),
                    "{name} at {step}/20"
                );
            } else {
                assert_eq!(without_tool(found), without_tool(expected), "{name} at {step}/20");
            }
        }
    }
}

#[test]
fn a_report_cut_in_its_results_says_so() {
    for name in [
        "semgrep/vulnshop.json",
        "sarif/semgrep-vulnshop.sarif",
        "sarif/checkov-vulnshop-deploy.sarif",
    ] {
        let bytes = report(name);
        let answer = convert(&bytes[..bytes.len() / 2]);
        assert!(
            answer
                .host
                .diagnostics
                .iter()
                .any(|told| told.code == "truncated"),
            "{name}"
        );
    }
}

#[test]
fn a_flipped_byte_never_panics_and_keeps_what_stands_before_it() {
    for (name, bytes) in bounded_reports() {
        let whole = convert(&bytes).host.findings;
        for step in 0..40 {
            let place = bytes.len() * step / 40;
            if place >= bytes.len() {
                continue;
            }
            for flip in [0x01, 0x02, 0x20, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] ^= flip;
                let answer = convert(&damaged);
                answer.check_sound(&name);
                // Damage in the rules may change what every result says; its number is its own.
                if !name.contains("sarif") {
                    let before = whole.iter().take_while(|finding| {
                        finding
                            .origin
                            .is_some_and(|origin| ((origin.offset + origin.length) as usize) <= place)
                    });
                    let before: Vec<_> = before
                        .map(|finding| (finding.rule_id.clone(), finding.origin))
                        .collect();
                    let kept: Vec<_> = answer
                        .host
                        .findings
                        .iter()
                        .map(|finding| (finding.rule_id.clone(), finding.origin))
                        .collect();
                    // Damage in front of the first record may hide what the report is.
                    if !before.is_empty() {
                        assert_eq!(kept[..before.len()], before, "{name}: byte {place} ^ {flip}");
                    }
                }
            }
        }
    }
}

#[test]
fn origins_name_the_records_own_bytes() {
    for name in [
        "semgrep/vulnshop.json",
        "hostile/utf8-bom.json",
        "sarif/ruff-vulnshop.sarif",
    ] {
        let bytes = report(name);
        for finding in convert(&bytes).host.findings {
            let origin = finding.origin.expect("every finding has one");
            let record = &bytes[origin.offset as usize..(origin.offset + origin.length) as usize];
            let value: serde_json::Value = serde_json::from_slice(record).expect("a record");
            let raw_id = value
                .get("check_id")
                .or(value.get("ruleId"))
                .and_then(serde_json::Value::as_str);
            assert!(raw_id.expect("an id").ends_with(&finding.rule_id), "{name}");
        }
    }
}

#[test]
fn a_retyped_field_costs_at_most_itself() {
    let bytes = report("semgrep/vulnshop.json");
    let text = String::from_utf8(bytes).expect("UTF-8");
    let whole = convert(text.as_bytes()).host.findings.len();
    for (right, wrong) in [
        (r#""message":"#, r#""message":7,"message_":"#),
        (r#""severity":"#, r#""severity":["x"],"severity_":"#),
        (r#""metadata":"#, r#""metadata":null,"metadata_":"#),
        (r#""cwe":"#, r#""cwe":{"a":1},"cwe_":"#),
        (r#""start":"#, r#""start":"top","start_":"#),
        (r#""line":"#, r#""line":"7","line_":"#),
        (r#""path":"#, r#""path":false,"path_":"#),
        (r#""extra":"#, r#""extra":[],"extra_":"#),
        (r#""fingerprint":"#, r#""new":{"deep":[[[]]]},"fingerprint":"#),
    ] {
        let compact: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let changed = compact.to_string().replace(right, wrong);
        let answer = convert(changed.as_bytes());
        answer.check_sound(right);
        assert_eq!(answer.host.findings.len(), whole, "{wrong}");
    }
}

#[test]
fn without_rewind_results_are_read_with_what_they_carry() {
    let bytes = report("sarif/semgrep-vulnshop.sarif");
    let input = MemoryInput::new("report", bytes).without_rewind();
    let answer = convert_input(input, MemoryHost::default());
    answer.check_sound("without rewind");
    assert_eq!(answer.host.findings.len(), 48);
    assert!(
        answer
            .host
            .diagnostics
            .iter()
            .any(|told| told.code == "rules-after-results")
    );
}
