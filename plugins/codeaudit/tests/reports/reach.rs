//! A scan that did not look at everything never looks clean: what the tool left out is told, in a
//! bounded number, and the coverage is `partial`.

use tamiz_sdk::limits::DIAGNOSTICS_PER_CODE;
use tamiz_sdk::model::{Completeness, Coverage, LogLevel};

use crate::answer::{Answer, convert, report};

/// Every record of these reports is readable: what is missing is missing in the scan.
fn coverage(answer: &Answer) -> Coverage {
    let outcome = answer.outcome.as_ref().expect("a report");
    assert_eq!(outcome.completeness, Completeness::Complete);
    outcome.coverage
}

/// A semgrep report without results, with these members.
fn without_results(members: &str) -> Answer {
    convert(format!(r#"{{"version":"1.182.0","results":[],{members}}}"#).as_bytes())
}

#[test]
fn files_that_semgrep_skipped_are_told_beside_its_errors() {
    let answer = convert(&report("semgrep/left-out.json"));
    assert_eq!(coverage(&answer), Coverage::Partial);
    assert_eq!(answer.outcome.as_ref().map(|outcome| outcome.records), Ok(0));
    assert_eq!(answer.told("tool-error").len(), 2);
    assert_eq!(
        answer.told("file-skipped"),
        [
            "the tool skipped `binary.py`: analysis_failed_parser_or_internal_error",
            "the tool skipped `broken.py`: analysis_failed_parser_or_internal_error",
            "the tool skipped `padded.py`: exceeded_size_limit",
        ]
    );
    assert_eq!(
        answer.told("files-excluded"),
        [
            "left out as asked for (cli_exclude_flags_match): 1, such as `tests`",
            "left out as asked for (semgrepignore_patterns_match): 1, such as `vendor/lib.js`",
        ]
    );
}

/// SARIF has the errors only: semgrep does not write skipped files into it.
#[test]
fn the_same_scan_as_sarif_is_partial_too() {
    let answer = convert(&report("sarif/semgrep-left-out.sarif"));
    assert_eq!(coverage(&answer), Coverage::Partial);
    assert_eq!(answer.told("tool-error").len(), 2);
}

#[test]
fn a_flood_of_gaps_is_counted() {
    let many = |entry: &str| vec![entry; 5000].join(",");
    let skipped = many(r#"{"path":"a.py","reason":"too_big"}"#);
    let errors = many(r#"{"level":"warn","type":"Timeout","message":"Timeout on a.py"}"#);
    let answer = without_results(&format!(
        r#""errors":[{errors}],"paths":{{"scanned":["b.py"],"skipped":[{skipped}]}}"#
    ));
    assert_eq!(coverage(&answer), Coverage::Partial);
    for code in ["file-skipped", "tool-error"] {
        assert_eq!(answer.told(code).len(), DIAGNOSTICS_PER_CODE as usize);
        let rest = format!("4900 more `{code}` beside the 100 that are listed");
        assert!(
            answer.told("diagnostics-counted").contains(&rest.as_str()),
            "{code}"
        );
    }
}

#[test]
fn what_was_asked_for_is_no_gap() {
    let answer = without_results(
        r#""errors":[{"level":"info","type":"Note","message":"all is well"}],
           "paths":{"scanned":["b.py"],"skipped":[{"path":"x","reason":"wrong_language"},{"path":"y","reason":"wrong_language"}]}"#,
    );
    assert_eq!(coverage(&answer), Coverage::Whole);
    assert_eq!(
        answer.told("files-excluded"),
        ["left out as asked for (wrong_language): 2, such as `x`"]
    );
    let levels = answer.host.diagnostics.iter().map(|told| told.level);
    assert!(levels.into_iter().all(|level| level == LogLevel::Info));
}

#[test]
fn gaps_that_cannot_be_read_are_gaps() {
    for members in [
        r#""errors":{"a":1}"#,
        r#""errors":[7]"#,
        r#""paths":"all""#,
        r#""paths":{"skipped":{}}"#,
        r#""paths":{"skipped":["a.py"]}"#,
        r#""paths":{"skipped":[{"path":"a.py"}]}"#,
        r#""paths":{"skipped":[{"path":"a.py","reason":"a_new_word"}]}"#,
    ] {
        let answer = without_results(members);
        assert_eq!(coverage(&answer), Coverage::Partial, "{members}");
        assert!(!answer.host.diagnostics.is_empty(), "{members}");
    }
    let answer = without_results(r#""errors":null,"paths":{"scanned":["b.py"],"skipped":null}"#);
    assert_eq!(coverage(&answer), Coverage::Unknown);
}

#[test]
fn a_sarif_run_that_says_it_failed_is_partial() {
    for (invocation, expected) in [
        (r#"{"executionSuccessful":true}"#, Coverage::Whole),
        (r#"{"executionSuccessful":false}"#, Coverage::Partial),
        (
            r#"{"executionSuccessful":true,"toolExecutionNotifications":[{"message":{"text":"no level is a warning"}}]}"#,
            Coverage::Partial,
        ),
        (
            r#"{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"note","message":{"text":"begun"}}]}"#,
            Coverage::Whole,
        ),
        (
            r#"{"executionSuccessful":true,"toolConfigurationNotifications":[{"level":"warning","message":{"text":"an old option"}}]}"#,
            Coverage::Whole,
        ),
        (
            r#"{"executionSuccessful":true,"toolConfigurationNotifications":[{"level":"error","message":{"text":"a rule is wrong"}}]}"#,
            Coverage::Partial,
        ),
        ("7", Coverage::Partial),
    ] {
        let text = format!(
            r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"demo"}}}},"invocations":[{invocation}],"results":[]}}]}}"#
        );
        let answer = convert(text.as_bytes());
        assert_eq!(coverage(&answer), expected, "{invocation}");
    }
}

#[test]
fn a_sarif_run_that_shows_what_was_looked_at_covers_it() {
    let good = r#""invocations":[{"executionSuccessful":true}]"#;
    let files = r#""artifacts":[{"location":{"uri":"a.py"}}]"#;
    for (name, members, expected) in [
        ("demo", "", Coverage::Unknown),
        ("demo", good, Coverage::Whole),
        ("demo", files, Coverage::Whole),
        // it always says so
        ("Semgrep OSS", good, Coverage::Unknown),
        ("Semgrep OSS", files, Coverage::Whole),
        ("demo", r#""artifacts":[]"#, Coverage::Unknown),
    ] {
        let comma = if members.is_empty() { "" } else { "," };
        let text = format!(
            r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"{name}"}}}},"results":[]{comma}{members}}}]}}"#
        );
        let answer = convert(text.as_bytes());
        assert_eq!(coverage(&answer), expected, "{name}: {members}");
    }
}
