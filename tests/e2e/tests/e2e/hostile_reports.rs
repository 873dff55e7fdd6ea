//! Reports that are cut, odd, deep, huge or none: each gets its good answer, and is kept as it came.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{App, checkout, report, text};

/// The converter's own cases, through the front door.
const FOLDER: &str = "plugins/codeaudit/cases/hostile";
/// What is too large to stand there.
const MANY: &str = "tests/fixtures/hostile/json/findings-200k.json.gz";

/// A good answer; the number is that of the kept findings.
enum Good {
    Complete(u32),
    /// Something in the middle was lost, and it is said.
    Partial(u32),
    Truncated(u32),
    Corrupt(u32),
    Unrecognized,
    /// Refused before it becomes a task.
    Empty,
}
use Good::{Complete, Corrupt, Empty, Partial, Truncated, Unrecognized};

fn good_answers() -> Vec<(&'static str, Good)> {
    vec![
        ("big-numbers.json", Partial(0)),
        ("concatenated.json", Unrecognized),
        ("crlf-blank-lines.jsonl", Unrecognized),
        ("deep-array-100k.json.gz", Unrecognized),
        ("deep-in-finding.json", Corrupt(1)),
        ("deep-object-50k.json.gz", Unrecognized),
        ("duplicate-keys.json", Complete(1)),
        ("empty.json", Empty),
        ("html-instead.json", Unrecognized),
        ("latin1.json", Partial(1)),
        ("leading-log-line.json", Unrecognized),
        ("lone-surrogate.json", Partial(1)),
        ("long-string-2mb.json.gz", Complete(1)),
        ("markup-in-text.json", Complete(8)),
        ("nan-infinity.json", Unrecognized),
        ("negative-lines.json", Complete(3)),
        ("nul-bytes.json", Partial(0)),
        ("null.json", Unrecognized),
        ("one-bad-line.jsonl", Unrecognized),
        ("path-escape.json", Complete(9)),
        ("sarif-codeflow-cycle.sarif", Complete(1)),
        ("sarif-no-locations.sarif", Complete(3)),
        ("sarif-no-runs.sarif", Complete(0)),
        ("sarif-rule-index-out-of-range.sarif", Complete(2)),
        ("sarif-uri-schemes.sarif", Complete(5)),
        ("trailing-garbage.json", Corrupt(20)),
        ("truncated-last-byte.json", Truncated(20)),
        ("truncated-mid.json", Truncated(10)),
        ("truncated-utf8.json", Truncated(0)),
        ("unknown-severity.json", Complete(3)),
        ("utf16le-bom.json", Corrupt(0)),
        ("utf8-bom.json", Complete(20)),
        ("whitespace-only.json", Corrupt(0)),
        ("wrong-shape-array.json", Unrecognized),
        ("wrong-types.json", Unrecognized),
    ]
}

#[tokio::test]
async fn every_hostile_report_gets_its_good_answer_and_is_kept() {
    let is_report = |name: &String| !name.ends_with(".expected.json");
    let files: BTreeSet<String> = checkout::files(FOLDER).into_iter().filter(is_report).collect();
    let rows: BTreeSet<String> = good_answers()
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(files, rows, "one row per file");

    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let mut orders = Vec::new();
    for (name, good) in good_answers() {
        let bytes = checkout::read(&format!("{FOLDER}/{name}"));
        if matches!(good, Empty) {
            let answer = acme.send(&project, name, bytes).await;
            assert_eq!(answer.status(), 422, "{name}");
            continue;
        }
        orders.push((name, good, acme.import(&project, name, bytes).await));
    }
    for (name, good, task) in orders {
        let task = acme.ended(&task).await;
        let (status, code, completeness, findings) = match good {
            Complete(findings) => ("COMPLETED", json!(null), "COMPLETE", findings),
            Partial(findings) => ("COMPLETED", json!(null), "PARTIAL", findings),
            Truncated(findings) => ("FAILED", json!("REPORT_TRUNCATED"), "TRUNCATED", findings),
            Corrupt(findings) => ("FAILED", json!("REPORT_CORRUPT"), "PARTIAL", findings),
            Unrecognized => ("FAILED", json!("REPORT_UNRECOGNIZED"), "", 0),
            Empty => unreachable!("never a task"),
        };
        assert_eq!(
            (&task["status"], &task["error"]["code"]),
            (&json!(status), &code),
            "{name}: {task:#}"
        );
        assert_eq!(task["findings"]["totalCount"], findings, "{name}: {task:#}");
        if completeness.is_empty() {
            assert!(task["scanResult"].is_null(), "{name}: {task:#}");
        } else {
            assert_eq!(
                task["scanResult"]["completeness"], completeness,
                "{name}: {task:#}"
            );
            assert_eq!(task["scanResult"]["findings"], findings, "{name}");
        }
        let is_silent = task["scanResult"]["diagnostics"]
            .as_array()
            .is_none_or(Vec::is_empty);
        assert!(
            completeness != "PARTIAL" || !is_silent,
            "{name}: what is lost must be said: {task:#}"
        );

        let artifact = &task["artifacts"][0];
        assert_eq!(
            (&artifact["kind"], &artifact["name"]),
            (&json!("report"), &json!(name))
        );
        let kept = acme.bytes(&text(&artifact["id"])).await;
        assert!(
            kept == checkout::read(&format!("{FOLDER}/{name}")),
            "{name} is not kept as it came"
        );
    }
}

#[tokio::test]
async fn a_gzip_report_of_two_hundred_thousand_findings_is_stored_whole() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme
        .import(&project, "findings-200k.json.gz", checkout::read(MANY))
        .await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(done["findings"]["totalCount"], 200_000);
    assert_eq!(done["scanResult"]["findings"], 200_000);
    assert_eq!(done["scanResult"]["completeness"], "COMPLETE");
}

#[tokio::test]
async fn a_gzip_bomb_and_a_cut_gzip_are_refused() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let many = checkout::read(MANY);
    let task = acme
        .import(&project, "cut.json.gz", many[..many.len() / 2].to_vec())
        .await;
    let cut = acme.ends_as(&task, "FAILED").await;
    assert_eq!(cut["error"]["code"], "REPORT_CORRUPT", "{cut:#}");
    // 11 members of 100 MB each, one after the other, unpack to more than a gigabyte
    let bomb = checkout::read("tests/fixtures/hostile/archive/gzip-bomb-100m.tar.gz").repeat(11);
    let task = acme.import(&project, "bomb.json.gz", bomb).await;
    let bomb = acme.ends_as(&task, "FAILED").await;
    assert_eq!(bomb["error"]["code"], "ARCHIVE_REFUSED", "{bomb:#}");
    let task = acme.import(&project, "report.json", report::semgrep(2)).await;
    acme.ends_as(&task, "COMPLETED").await;
}
