//! Traps that real producers set: SARIF's odder fields, placeholders, and secrets in what tools quote.

use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::{Confidence, Finding, Location, Severity};

use crate::answer::{Answer, convert, convert_input, report, reports};

fn sarif(tool: &str, results: &str) -> Vec<u8> {
    format!(
        r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"{tool}","rules":[
            {{"id":"A","defaultConfiguration":{{"level":"error"}},"properties":{{"security-severity":"9.8"}}}},
            {{"id":"B","shortDescription":{{"text":"second"}}}}]}},
            "extensions":[{{"name":"pack","rules":[{{"id":"X","defaultConfiguration":{{"level":"note"}}}}]}}]}},
            "originalUriBaseIds":{{"ROOT":{{"uri":"file:///home/ci/shop/"}},"SRC":{{"uri":"src/","uriBaseId":"ROOT"}}}},
            "results":[{results}]}}]}}"#
    )
    .into_bytes()
}

fn with_source(bytes: Vec<u8>, path: &str, source: &str) -> Answer {
    let mut host = MemoryHost::default();
    host.sources.insert(path.to_owned(), source.as_bytes().to_vec());
    convert_input(MemoryInput::new("report", bytes), host)
}

fn extra<'finding>(finding: &'finding Finding, key: &str) -> Option<&'finding str> {
    let found = finding.extra.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value.as_str())
}

fn snippet(finding: &Finding) -> Option<&str> {
    match finding.locations.first() {
        Some(Location::File(file)) => file.snippet.as_deref(),
        _ => None,
    }
}

#[test]
fn a_rule_is_found_by_its_index_or_in_an_extension_and_scores_beat_levels() {
    let answer = convert(&sarif(
        "demo",
        r#"{"ruleIndex":0,"level":"note","message":{"text":"a"}},
           {"rule":{"index":0,"toolComponent":{"index":0}},"message":{"text":"x"}}"#,
    ));
    let findings = &answer.host.findings;
    assert_eq!(
        (findings[0].rule_id.as_str(), findings[0].severity),
        ("A", Severity::Critical)
    );
    assert_eq!(
        (findings[1].rule_id.as_str(), findings[1].severity),
        ("X", Severity::Low)
    );
}

#[test]
fn base_ids_are_followed_and_all_places_are_kept() {
    let place = |line: u32| {
        format!(
            r#"{{"physicalLocation":{{"artifactLocation":{{"uri":"a.py","uriBaseId":"SRC"}},"region":{{"startLine":{line}}}}}}}"#
        )
    };
    let places: Vec<String> = (1..=30).map(place).collect();
    let result = format!(
        r#"{{"ruleId":"B","message":{{"text":"m"}},"locations":[{}]}}"#,
        places.join(",")
    );
    let answer = convert(&sarif("demo", &result));
    let finding = &answer.host.findings[0];
    assert_eq!(finding.locations.len(), 30);
    assert_eq!(crate::answer::place(finding), ("src/a.py".to_owned(), 1));
}

#[test]
fn a_region_of_characters_is_kept_and_finds_its_line_in_the_source() {
    let result = r#"{"ruleId":"B","message":{"text":"m"},"locations":[{"physicalLocation":{
        "artifactLocation":{"uri":"a.py"},"region":{"charOffset":6,"charLength":3}}}]}"#;
    let blind = convert(&sarif("demo", result)).host.findings;
    assert_eq!(crate::answer::place(&blind[0]), ("a.py".to_owned(), 0));
    assert_eq!(extra(&blind[0], "char-offset"), Some("6"));
    let seeing = with_source(sarif("demo", result), "a.py", "one\n  two\n")
        .host
        .findings;
    assert_eq!(crate::answer::place(&seeing[0]), ("a.py".to_owned(), 2));
    assert_eq!(snippet(&seeing[0]), Some("  two"));
}

#[test]
fn kinds_and_suppressions_keep_their_words() {
    let answer = convert(&sarif(
        "demo",
        r#"{"ruleId":"B","kind":"pass","message":{"text":"p"}},
           {"ruleId":"B","kind":"open","message":{"text":"o"}},
           {"ruleId":"B","kind":"informational","message":{"text":"i"}},
           {"ruleId":"B","message":{"text":"s"},"suppressions":[
                {"kind":"external","status":"underReview","justification":"later"}]}"#,
    ));
    let outcome = answer.outcome.as_ref().expect("a report");
    assert_eq!((outcome.records, outcome.findings, outcome.skipped), (4, 3, 1));
    let findings = &answer.host.findings;
    assert_eq!(
        (findings[0].severity, extra(&findings[0], "kind")),
        (Severity::Info, Some("\"open\""))
    );
    assert_eq!(findings[2].suppressions, [], "nobody has accepted it yet");
    assert!(
        extra(&findings[2], "suppressions-not-accepted").is_some_and(|text| text.contains("underReview"))
    );
}

#[test]
fn where_semgrep_requires_a_login_the_source_is_quoted() {
    let bytes = report("semgrep/vulnshop.json");
    let first = convert(&bytes).host.findings.remove(0);
    assert_eq!(snippet(&first), None);
    let (path, line) = crate::answer::place(&first);
    let source = "same\n".repeat(line as usize);
    let findings = with_source(bytes, &path, &source).host.findings;
    let quoted = findings
        .iter()
        .find(|finding| crate::answer::place(finding) == (path.clone(), line))
        .and_then(snippet);
    assert_eq!(quoted, Some("same"));
}

#[test]
fn without_its_tool_a_report_quotes_nothing_for_it_may_quote_secrets() {
    let bytes = report("sarif/kingfisher-vulnshop.sarif");
    let results = bytes
        .windows(6)
        .position(|window| window == b"\"tool\"")
        .expect("a tool");
    let answer = convert(&bytes[..results]);
    assert_eq!(answer.host.findings.len(), 6);
    assert!(
        answer
            .host
            .findings
            .iter()
            .all(|finding| snippet(finding).is_none())
    );
}

/// Secrets of the samples, and of the cases made for formats without one.
const SECRETS: [&str; 9] = [
    "AKIAZFYCWXEMCUQ5NG3J",
    "AKIAQYLPMN5HHHFPZAM2",
    "1tUm636uS1yOEcfP5pvfqJ",
    "FmvyXv7qydPTcvtBbgGA2P90SLs7juj4eVlHjnjK",
    "ghp_g7orOstZ8r5w46echRwvZxdR5VhB6Nsvmt0L",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "NmXBKXhcR5HOAPxIrzJCXlhw",
    "MIICXAIBAAKBgQDEfB7Q0Fuv606R9cLb",
    "6c5c3000dbf743960f67cbdd21444b4442ea9c73",
];

#[test]
fn no_scanner_of_secrets_gets_one_into_a_finding_or_a_diagnostic() {
    let mut quoted = 0;
    for (name, bytes) in reports() {
        let from_scanner = [
            "gitleaks",
            "betterleaks",
            "kingfisher",
            "trufflehog",
            "detect-secrets",
            "checkov",
        ];
        if !from_scanner.iter().any(|tool| name.contains(tool)) || name.contains("checkov-") {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        let answer = convert(&bytes);
        let kept = format!(
            "{:?} {:?} {:?}",
            answer.host.findings, answer.host.diagnostics, answer.outcome
        );
        for secret in SECRETS.iter().filter(|secret| text.contains(**secret)) {
            quoted += 1;
            assert!(!kept.contains(secret), "{name}: {secret}");
        }
    }
    assert!(quoted > 12, "{quoted} secrets were looked for");
}

#[test]
fn one_secret_has_one_identity_in_every_tool() {
    let identities: Vec<_> = [
        "gitleaks/vulnshop.json",
        "kingfisher/vulnshop.json",
        "sarif/gitleaks-vulnshop.sarif",
        "sarif/kingfisher-vulnshop.sarif",
    ]
    .map(|name| {
        let findings = convert(&report(name)).host.findings;
        let found = findings
            .into_iter()
            .find(|finding| finding.rule_id.contains("aws") && crate::answer::place(finding).1 == 2);
        found.and_then(|finding| finding.tool_fingerprint)
    })
    .into_iter()
    .collect();
    assert!(identities[0].is_some(), "{identities:?}");
    assert!(
        identities.iter().all(|identity| *identity == identities[0]),
        "{identities:?}"
    );
}

#[test]
fn eslints_messages_wait_for_the_file_behind_them() {
    let bytes = br#"[{"messages":[{"ruleId":"no-eval","severity":2,"message":"eval","line":3,"column":1}],
        "errorCount":1,"warningCount":0,"filePath":"/src/js/jobs.js"}]"#;
    let findings = convert(bytes).host.findings;
    assert_eq!(
        crate::answer::place(&findings[0]),
        ("src/js/jobs.js".to_owned(), 3)
    );
}

#[test]
fn a_region_of_bytes_finds_its_line_in_the_source() {
    let result = r#"{"ruleId":"B","message":{"text":"m"},"locations":[{"physicalLocation":{
        "artifactLocation":{"uri":"a.py"},"region":{"byteOffset":7,"byteLength":3}}}]}"#;
    let seeing = with_source(sarif("demo", result), "a.py", "\u{e9}ne\n  two\n")
        .host
        .findings;
    assert_eq!(crate::answer::place(&seeing[0]), ("a.py".to_owned(), 2));
    assert_eq!(snippet(&seeing[0]), Some("  two"));
}

#[test]
fn files_behind_results_are_found_by_a_second_reading_or_missed_aloud() {
    let bytes = report("sarif/files-behind-results.sarif");
    let twice = convert(&bytes).host.findings;
    assert_eq!(crate::answer::place(&twice[0]), ("src/Load.cs".to_owned(), 4));
    let input = MemoryInput::new("report", bytes).without_rewind();
    let once = convert_input(input, MemoryHost::default());
    assert_eq!(crate::answer::place(&once.host.findings[0]), (String::new(), 0));
    assert_eq!(once.host.findings.len(), twice.len());
    assert_eq!(once.told("files-after-results").len(), 1);
}

/// Each half asks for the keys behind its results, which the other's starting over must not forget.
#[test]
fn a_document_that_is_half_semgrep_and_half_sarif_is_read_once() {
    let document = br#"{
        "results": [{"check_id": "r", "path": "a.py", "start": {"line": 1, "col": 1}, "end": {"line": 1, "col": 2},
            "extra": {"message": "m", "severity": "ERROR", "is_ignored": false, "engine_kind": "OSS"}}],
        "runs": [{"results": [{"ruleId": "s", "message": {"text": "t"}}], "tool": {"driver": {"name": "d"}}}],
        "version": "2.1.0", "engine_requested": "OSS", "interfile_languages_used": [], "paths": {"scanned": []}
    }"#;
    let answer = convert(document);
    let rules: Vec<_> = answer
        .host
        .findings
        .iter()
        .map(|found| found.rule_id.as_str())
        .collect();
    assert_eq!(rules, ["r", "s"], "{:?}", answer.outcome);
}

#[test]
fn numbers_in_quotes_are_numbers() {
    let report = br#"{"comments":[{"file":"a.sh","line":"3","endLine":"3","column":"1","endColumn":"2","level":"error","code":"2086","message":"m","fix":null}]}"#;
    let answer = convert(report);
    let finding = &answer.host.findings[0];
    assert_eq!(finding.rule_id, "SC2086");
    assert_eq!(tamiz_sdk::test_kit::place(finding), ("a.sh".to_owned(), 3));
}

#[test]
fn a_result_that_says_more_than_its_rule_changes_no_other_of_the_rule() {
    let text = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"demo","rules":[{"id":"r","name":"n",
        "helpUri":"https://a.test/r","properties":{"tags":["security","CWE-79"],"precision":"high"}}]}},
        "results":[{"ruleId":"r"},
        {"ruleId":"r","properties":{"tags":["own"],"cwe":"CWE-80","category":"c","confidence":"low"}},
        {"ruleId":"r"},{"ruleId":"r/sub"}]}]}"#;
    let mut findings = convert(text.as_bytes()).host.findings;
    for finding in &mut findings {
        finding.origin = None;
    }
    assert!(findings[0] == findings[2]);
    assert_eq!(
        (findings[0].cwe.as_slice(), findings[0].category.as_deref()),
        (&[79][..], Some("security"))
    );
    assert_eq!(
        (findings[1].cwe.as_slice(), findings[1].category.as_deref()),
        (&[80, 79][..], Some("c"))
    );
    assert_eq!(
        (&findings[1].tags[..], &findings[0].tags[..]),
        (
            &["own".to_owned(), "security".to_owned()][..],
            &["security".to_owned()][..]
        )
    );
    assert_eq!(findings[1].confidence, Confidence::Low);
    assert_eq!(
        (findings[3].rule_id.as_str(), findings[3].rule_name.as_deref()),
        ("r/sub", Some("n"))
    );
}
