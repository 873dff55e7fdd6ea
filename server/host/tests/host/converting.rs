//! Honest conversions: codeaudit reads reports of semgrep through the real host.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use tamiz_core::{Location, Severity};
use tamiz_host::{Completeness, ConvertFailure, Input, RunLimits, ScanRequest};

use crate::world::{Run, codeaudit, request, run, text};

/// A report as semgrep 1.x writes it, with so many results.
fn semgrep_report(results: u32) -> String {
    let mut report = String::from(r#"{"version":"1.100.0","results":["#);
    for number in 1..=results {
        let comma = if number == 1 { "" } else { "," };
        write!(
            report,
            r#"{comma}{{"check_id":"rules.python.eval-{}","path":"src/module_{number}.py",
            "start":{{"line":{number},"col":5,"offset":10}},"end":{{"line":{number},"col":20,"offset":25}},
            "extra":{{"message":"eval() of request data in place {number}","metadata":{{"cwe":["CWE-95: Eval Injection"],
            "confidence":"HIGH","references":["https://owasp.org/Top10"]}},"severity":"ERROR",
            "fingerprint":"requires login","lines":"requires login","validation_state":"NO_VALIDATOR","engine_kind":"OSS"}}}}"#,
            number % 10
        )
        .expect("a string takes text");
    }
    report.push_str(r#"],"errors":[],"paths":{"scanned":[]}}"#);
    report
}

fn convert(report: &str) -> Run {
    run(
        codeaudit(),
        request("{}", vec![text(report)], RunLimits::default()),
    )
}

#[test]
fn a_report_of_semgrep_becomes_findings() {
    let run = convert(&semgrep_report(200));
    let outcome = run.outcome.unwrap();
    assert_eq!(
        (outcome.completeness, outcome.findings),
        (Completeness::Complete, 200)
    );
    assert_eq!(outcome.format, "semgrep-json");
    let finding = &run.kept.findings[6];
    assert_eq!(
        (finding.tool.as_str(), finding.severity),
        ("semgrep", Severity::High)
    );
    assert!(finding.rule_id.ends_with("eval-7"), "{}", finding.rule_id);
    assert_eq!(finding.cwe, [95]);
    assert_eq!(
        finding.tool_fingerprint, None,
        "semgrep's placeholder is no identity"
    );
    let Some(Location::File { path, start, .. }) = finding.locations.first() else {
        panic!("{:?}", finding.locations);
    };
    assert_eq!((path.as_str(), start.unwrap().line), ("src/module_7.py", 7));
}

#[test]
fn the_same_report_gives_the_same_findings_twice() {
    let report = semgrep_report(150);
    assert_eq!(convert(&report).kept.findings, convert(&report).kept.findings);
}

#[test]
fn a_report_that_was_cut_gives_what_was_readable_and_says_so() {
    let report = semgrep_report(100);
    let whole = convert(&report).kept.findings;
    let half = convert(&report[..report.len() / 2]);
    let kept = half.kept.findings.len();
    assert!((40..60).contains(&kept), "{kept}");
    assert_eq!(half.kept.findings, whole[..kept]);
    match half.outcome {
        Ok(outcome) => assert_eq!(outcome.completeness, Completeness::Truncated),
        Err(error) => assert!(matches!(error, ConvertFailure::Corrupt { .. }), "{error:?}"),
    }
    assert!(!half.kept.diagnostics.is_empty());
}

#[test]
fn bytes_of_no_known_format_are_left_to_the_next_plugin() {
    for bytes in ["hello", "[1,2,3]", r#"{"a":1}"#] {
        let run = convert(bytes);
        assert!(
            matches!(run.outcome, Err(ConvertFailure::Unrecognized { .. })),
            "{bytes:?}: {:?}",
            run.outcome
        );
        assert_eq!(run.counts.findings, 0);
    }
}

#[test]
fn memory_does_not_grow_with_the_report() {
    let report = semgrep_report(40_000);
    assert!(report.len() > 16 * 1024 * 1024);
    let limits = RunLimits {
        memory_bytes: 8 * 1024 * 1024,
        deadline: Duration::from_mins(2),
        ..RunLimits::default()
    };
    let run = run(codeaudit(), request("{}", vec![text(&report)], limits));
    assert_eq!(run.outcome.unwrap().findings, 40_000);
    assert_eq!(run.counts.input_bytes, report.len() as u64);
    assert!(
        run.kept
            .progress
            .last()
            .is_some_and(|last| last.findings == 40_000)
    );
}

/// Every list full of the longest entries: 64 such findings would be more than one call may carry.
#[test]
fn the_heaviest_findings_of_a_report_fit_into_calls() {
    let address = |number: u32| format!("\"https://example.test/{number}/{}\"", "r".repeat(1_900));
    let references: Vec<_> = (0..64).map(address).collect();
    let tags: Vec<_> = (0..64)
        .map(|number| format!("\"{number}{}\"", "t".repeat(500)))
        .collect();
    let mut report = String::from(r#"{"version":"1.100.0","results":["#);
    for number in 1..=130 {
        let comma = if number == 1 { "" } else { "," };
        write!(
            report,
            r#"{comma}{{"check_id":"heavy","path":"{path}{number}","start":{{"line":{number}}},"end":{{"line":{number}}},
            "extra":{{"message":"{message}","severity":"ERROR","metadata":{{"references":[{}],"technology":[{}]}}}}}}"#,
            references.join(","),
            tags.join(","),
            path = "p".repeat(4_000),
            message = "m".repeat(60_000),
        )
        .expect("a string takes text");
    }
    report.push_str(r#"],"errors":[],"paths":{"scanned":["p"]}}"#);
    let run = convert(&report);
    let outcome = run.outcome.unwrap();
    assert_eq!((outcome.findings, run.kept.findings.len()), (130, 130));
    assert_eq!(run.kept.findings[0].references.len(), 64);
}

#[test]
fn codeaudit_plans_a_run_of_semgrep_for_a_tree() {
    let runs = codeaudit()
        .plan(
            &ScanRequest {
                target_kind: "tree".to_owned(),
                target: String::new(),
                options: "{}".to_owned(),
            },
            &RunLimits::default(),
        )
        .unwrap();
    assert_eq!(runs[0].tool, "semgrep");
    assert!(!runs[0].outputs.is_empty());
}

/// The guest's own cases hold its findings to the letter; here the same component runs in the host.
#[test]
fn real_reports_of_many_tools_give_every_record() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/codeaudit/cases");
    let counts = fs::read_to_string(cases.join("counts.tsv")).unwrap();
    let mut read = 0;
    for line in counts.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (name, records) = (columns.next().unwrap(), columns.nth(1).unwrap());
        // large ones are packed, and left to the guest's own tests
        let Ok(file) = File::open(cases.join(name)) else {
            continue;
        };
        let report = Input::seekable(name, file);
        let run = run(codeaudit(), request("{}", vec![report], RunLimits::default()));
        let outcome = run.outcome.unwrap();
        assert_eq!(outcome.records.to_string(), records, "{name}");
        assert_eq!(outcome.findings + outcome.skipped, outcome.records, "{name}");
        assert_eq!(outcome.findings as usize, run.kept.findings.len(), "{name}");
        read += 1;
    }
    assert!(read >= 8, "{read}");
}
