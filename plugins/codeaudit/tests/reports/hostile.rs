//! What a good system answers to each hostile file: one row per file of `cases/hostile`.
//!
//! `Rejected` is an error; `Partial` names what was kept and says that something is missing. Both
//! leave the raw report and the reason to the reader; neither is ever a silent `complete`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Cursor;

use tamiz_sdk::json::lenient::Text;
use tamiz_sdk::limits::MESSAGE_BYTES;
use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::{Completeness, ConvertError, Severity};

use crate::answer::{Answer, convert, convert_input, report, reports};

enum Good {
    /// Complete, with so many findings.
    Accepted(u32),
    /// So many findings were kept, the text is in a diagnostic or the error.
    Partial(Completeness, u32, &'static str),
    /// The envelope broke after so many findings; the error says this.
    Corrupt(usize, &'static str),
    /// Nothing of this plugin's; the error says this.
    Unrecognized(&'static str),
}
use Good::{Accepted, Corrupt, Partial, Unrecognized};

fn good_answers() -> Vec<(&'static str, Good)> {
    use Completeness::{Partial as Some_, Truncated};
    vec![
        ("big-numbers.json", Partial(Some_, 0, "number out of range")),
        (
            "concatenated.json",
            Unrecognized("`,{\"check_id\": \"demo-rule` follows"),
        ),
        ("crlf-blank-lines.jsonl", Unrecognized("follows")),
        ("deep-array-100k.json", Unrecognized("it is an array")),
        (
            "deep-in-finding.json",
            Corrupt(1, "nested deeper than 128 levels"),
        ),
        (
            "deep-object-50k.json",
            Unrecognized("nested deeper than 128 levels"),
        ),
        ("duplicate-keys.json", Accepted(1)),
        ("empty.json", Corrupt(0, "no content")),
        (
            "html-instead.json",
            Unrecognized("XML or HTML, starting with `<!doctype html>"),
        ),
        ("latin1.json", Partial(Some_, 1, "not Unicode")),
        (
            "leading-log-line.json",
            Unrecognized("starts with `WARN: cache is cold"),
        ),
        ("lone-surrogate.json", Partial(Some_, 1, "not Unicode")),
        ("long-string-2mb.json", Accepted(1)),
        ("markup-in-text.json", Accepted(8)),
        ("nan-infinity.json", Unrecognized("neither `results`")),
        ("negative-lines.json", Accepted(3)),
        ("nul-bytes.json", Partial(Some_, 0, "control character")),
        ("null.json", Unrecognized("starts with `null`")),
        ("one-bad-line.jsonl", Unrecognized("follows")),
        ("path-escape.json", Accepted(9)),
        ("sarif-codeflow-cycle.sarif", Accepted(1)),
        ("sarif-no-locations.sarif", Accepted(3)),
        ("sarif-no-runs.sarif", Accepted(0)),
        ("sarif-rule-index-out-of-range.sarif", Accepted(2)),
        ("sarif-uri-schemes.sarif", Accepted(5)),
        ("trailing-garbage.json", Corrupt(20, "`Traceback")),
        (
            "truncated-last-byte.json",
            Partial(Truncated, 20, "ends at byte 8058"),
        ),
        ("truncated-mid.json", Partial(Truncated, 10, "ends at byte 4029")),
        ("truncated-utf8.json", Partial(Truncated, 0, "ends at byte 202")),
        ("unknown-severity.json", Accepted(3)),
        ("utf16le-bom.json", Corrupt(0, "UTF-16LE")),
        ("utf8-bom.json", Accepted(20)),
        ("whitespace-only.json", Corrupt(0, "no content")),
        ("wrong-shape-array.json", Unrecognized("it is an array")),
        ("wrong-types.json", Unrecognized("`results` is an object")),
    ]
}

fn said(answer: &Answer) -> String {
    let mut said = format!("{:?}", answer.outcome);
    for diagnostic in &answer.host.diagnostics {
        let _ = write!(said, "\n{}: {}", diagnostic.code, diagnostic.message);
    }
    // The error's debug form escapes quotes.
    said.replace("\\\"", "\"")
}

#[test]
fn every_hostile_file_gets_its_good_answer() {
    let answers = good_answers();
    let files: BTreeSet<String> = reports()
        .into_iter()
        .filter_map(|(name, _)| Some(name.strip_prefix("hostile/")?.to_owned()))
        .collect();
    let rows: BTreeSet<String> = answers.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, rows, "one row per file");

    for (name, good) in answers {
        let answer = convert(&report(&format!("hostile/{name}")));
        answer.check_sound(name);
        let said = said(&answer);
        let kept = answer.host.findings.len();
        match (&answer.outcome, good) {
            (Ok(outcome), Accepted(findings)) => {
                assert_eq!(
                    (outcome.completeness, outcome.findings),
                    (Completeness::Complete, findings),
                    "{name} {said}"
                );
            }
            (Ok(outcome), Partial(completeness, findings, reason)) => {
                assert_eq!(
                    (outcome.completeness, outcome.findings),
                    (completeness, findings),
                    "{name} {said}"
                );
                assert!(said.contains(reason), "{name}: {reason} is not in {said}");
            }
            (Err(ConvertError::Corrupt(_)), Corrupt(findings, reason)) => {
                assert_eq!(kept, findings, "{name} {said}");
                assert!(said.contains(reason), "{name}: {reason} is not in {said}");
            }
            (Err(ConvertError::Unrecognized(_)), Unrecognized(reason)) => {
                assert_eq!(kept, 0, "{name} {said}");
                assert!(said.contains(reason), "{name}: {reason} is not in {said}");
            }
            _ => panic!("{name}: {said}"),
        }
    }
}

fn messages(name: &str) -> Vec<String> {
    convert(&report(name))
        .host
        .findings
        .into_iter()
        .map(|finding| finding.message)
        .collect()
}

#[test]
fn markup_stays_text_and_escapes_go() {
    let messages = messages("hostile/markup-in-text.json");
    assert_eq!(
        messages[0],
        "<script>alert(1)</script><img src=x onerror=alert(2)>"
    );
    assert_eq!(messages[3], "red");
    assert_eq!(messages[4], "usergnp.exe\u{200b}end");
}

#[test]
fn a_long_message_is_cut_at_the_field_limit_and_told() {
    let answer = convert(&report("hostile/long-string-2mb.json"));
    assert_eq!(answer.host.findings[0].message.len(), MESSAGE_BYTES);
    assert!(said(&answer).contains("field-cut: results[0]: `message` was cut"));
}

#[test]
fn unknown_severities_are_info_with_the_raw_word() {
    let answer = convert(&report("hostile/unknown-severity.json"));
    let raw: Vec<_> = answer
        .host
        .findings
        .iter()
        .map(|finding| finding.severity_raw.as_deref())
        .collect();
    assert_eq!(raw, [Some("CATASTROPHIC"), Some(""), None]);
    assert!(
        answer
            .host
            .findings
            .iter()
            .all(|finding| finding.severity == Severity::Info)
    );
    assert_eq!(
        answer
            .host
            .diagnostics
            .iter()
            .filter(|told| told.code == "severity-unknown")
            .count(),
        3
    );
}

#[test]
fn lines_that_are_none_become_none() {
    let findings = convert(&report("hostile/negative-lines.json")).host.findings;
    assert!(
        findings
            .iter()
            .all(|finding| crate::answer::place(finding).1 == 0)
    );
}

#[test]
fn paths_are_labels_whatever_they_name() {
    for name in ["hostile/path-escape.json", "hostile/sarif-uri-schemes.sarif"] {
        for finding in convert(&report(name)).host.findings {
            let (path, _) = crate::answer::place(&finding);
            assert!(
                !path.starts_with('/') && !path.split('/').any(|part| part == ".."),
                "{path}"
            );
            assert!(path.len() <= 4096 && !path.contains(['\0', '\n']), "{path:?}");
            assert!(finding.references.is_empty());
        }
    }
}

#[test]
fn a_long_flow_is_cut() {
    let answer = convert(&report("hostile/sarif-codeflow-cycle.sarif"));
    assert!(answer.host.diagnostics.iter().any(|told| told.code == "flow-cut"));
}

/// The 200,000 findings of the hostile samples, made here byte for byte: the file has 61 MB.
fn many_findings(count: u32) -> Vec<u8> {
    let mut text = String::from(r#"{"version": "1.182.0", "results": ["#);
    for number in 0..count {
        let separator = if number == 0 { "" } else { ", " };
        let _ = write!(
            text,
            r#"{separator}{{"check_id": "demo-rule", "path": "src/app.py", "start": {{"line": {line}, "col": 1, "offset": 0}}, "end": {{"line": {line}, "col": 9, "offset": 8}}, "extra": {{"message": "SQL built from a variable", "severity": "ERROR", "metadata": {{"cwe": ["CWE-89: SQL Injection"]}}, "lines": "x", "fingerprint": "f{number}"}}}}"#,
            line = number + 1,
        );
    }
    text.push_str(r#"], "errors": [], "paths": {"scanned": []}}"#);
    text.into_bytes()
}

#[test]
fn two_hundred_thousand_findings_are_read_and_the_platforms_limit_is_told() {
    let bytes = many_findings(200_000);
    assert_eq!(bytes.len(), 61_066_755, "as the sample's file");
    let answer = convert(&bytes);
    assert_eq!(
        answer.outcome.as_ref().map(|outcome| outcome.findings),
        Ok(200_000)
    );

    let host = MemoryHost {
        findings_max: Some(10_000),
        ..MemoryHost::default()
    };
    let answer = convert_input(MemoryInput::new("report", bytes), host);
    answer.check_sound("limited");
    let outcome = answer.outcome.as_ref().expect("partial");
    assert_eq!(
        (outcome.completeness, outcome.findings),
        (Completeness::Partial, 9984)
    );
    assert!(said(&answer).contains("findings-limit: the platform takes no more findings"));
}

/// The two files of JSON lines are no format of code audit; the SDK's reader still takes them as
/// the table wants: 5 of 5, and 9 with one bad line.
#[test]
fn json_lines_lose_only_the_bad_line() {
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        event_type: Text<'a>,
    }
    for (name, good, bad) in [("crlf-blank-lines.jsonl", 5, 0), ("one-bad-line.jsonl", 9, 1)] {
        let mut counts = (0, 0);
        tamiz_sdk::json::each_line(&mut Cursor::new(report(&format!("hostile/{name}"))), |line| {
            match serde_json::from_slice::<Event<'_>>(line.bytes) {
                Ok(event) if event.event_type.text() == "alert" => counts.0 += 1,
                _ => counts.1 += 1,
            }
        })
        .expect("memory can be read");
        assert_eq!(counts, (good, bad), "{name}");
    }
}
