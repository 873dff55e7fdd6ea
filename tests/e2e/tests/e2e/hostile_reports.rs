//! Reports that are cut, odd, deep, huge or none: each gets its good answer, and is kept as it came.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{App, Client, checkout, report, text};

/// The converter's own cases, through the front door.
const FOLDER: &str = "plugins/codeaudit/cases/hostile";
/// What is too large to stand there.
const MANY: &str = "tests/fixtures/hostile/json/findings-200k.json.gz";

/// A good answer; the number is that of the kept findings. What a client is told stands in the
/// converter's case, or here: words of the task's error, or the code of a diagnostic.
enum Good {
    Complete(u32),
    /// Complete; so many further records say what one of the findings says.
    Again(u32, u32),
    /// Something in the middle was lost, and it is said.
    Partial(u32, &'static str),
    Truncated(u32, &'static str),
    Corrupt(u32),
    /// So many records, and none is readable.
    Unreadable(u32, &'static str),
    Unrecognized,
    /// Refused before it becomes a task.
    Empty,
}
use Good::{Again, Complete, Corrupt, Empty, Partial, Truncated, Unreadable, Unrecognized};

fn good_answers() -> Vec<(&'static str, Good)> {
    vec![
        ("big-numbers.json", Unreadable(1, "number out of range")),
        ("concatenated.json", Unrecognized),
        ("crlf-blank-lines.jsonl", Unrecognized),
        ("deep-array-100k.json.gz", Unrecognized),
        ("deep-in-finding.json", Corrupt(1)),
        ("deep-object-50k.json.gz", Unrecognized),
        ("duplicate-keys.json", Complete(1)),
        ("empty.json", Empty),
        ("html-instead.json", Unrecognized),
        ("latin1.json", Partial(1, "text-not-unicode")),
        ("leading-log-line.json", Unrecognized),
        ("lone-surrogate.json", Partial(1, "text-not-unicode")),
        ("long-string-2mb.json.gz", Complete(1)),
        ("markup-in-text.json", Complete(8)),
        ("nan-infinity.json", Unrecognized),
        ("negative-lines.json", Again(1, 2)),
        ("nul-bytes.json", Unreadable(20, "control character")),
        ("null.json", Unrecognized),
        ("one-bad-line.jsonl", Unrecognized),
        ("path-escape.json", Complete(9)),
        ("sarif-codeflow-cycle.sarif", Complete(1)),
        ("sarif-no-locations.sarif", Complete(3)),
        ("sarif-no-runs.sarif", Complete(0)),
        ("sarif-rule-index-out-of-range.sarif", Again(1, 1)),
        ("sarif-uri-schemes.sarif", Complete(5)),
        ("trailing-garbage.json", Corrupt(20)),
        (
            "truncated-last-byte.json",
            Truncated(20, "the input ends at byte 8058"),
        ),
        ("truncated-mid.json", Truncated(10, "the input ends at byte 4029")),
        ("truncated-utf8.json", Truncated(0, "the input ends at byte 202")),
        ("unknown-severity.json", Again(2, 1)),
        ("utf16le-bom.json", Corrupt(0)),
        ("utf8-bom.json", Complete(20)),
        ("whitespace-only.json", Corrupt(0)),
        ("wrong-shape-array.json", Unrecognized),
        ("wrong-types.json", Unrecognized),
    ]
}

/// The converter's own words for why it refuses a report.
fn refusal(name: &str) -> String {
    let case = name.strip_suffix(".gz").unwrap_or(name);
    let case: Value =
        serde_json::from_slice(&checkout::read(&format!("{FOLDER}/{case}.expected.json"))).unwrap();
    let error = &case["outcome"]["error"];
    let words = error["Corrupt"]["message"]
        .as_str()
        .or(error["Unrecognized"].as_str());
    words
        .unwrap_or_else(|| panic!("{name}: {error}"))
        .replace("`report`", &format!("`{name}`"))
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
            let body: Value = answer.json().await.unwrap();
            let error = &body["errors"][0];
            assert_eq!(error["extensions"]["code"], "UPLOAD_EMPTY", "{body:#}");
            assert_eq!(error["message"], "the upload has no bytes", "{body:#}");
            continue;
        }
        orders.push((name, good, acme.import(&project, name, bytes).await));
    }
    for (name, good, task) in orders {
        let task = acme.ended(&task).await;
        check_end(name, &good, &task);
        check_kept(&acme, name, &task).await;
    }
}

fn check_end(name: &str, good: &Good, task: &Value) {
    let failed = |code| ("FAILED", json!(code));
    let ((status, code), completeness, findings, words) = match good {
        Complete(findings) | Again(findings, _) => {
            (("COMPLETED", json!(null)), "COMPLETE", *findings, String::new())
        }
        Partial(findings, note) => (
            ("COMPLETED", json!(null)),
            "PARTIAL",
            *findings,
            (*note).to_owned(),
        ),
        Truncated(findings, words) => (
            failed("REPORT_TRUNCATED"),
            "TRUNCATED",
            *findings,
            (*words).to_owned(),
        ),
        Corrupt(findings) => (failed("REPORT_CORRUPT"), "PARTIAL", *findings, refusal(name)),
        Unreadable(records, why) => {
            let words = format!(
                "none of the report's {records} records can be read: results[0] could not be read: {why}"
            );
            (failed("REPORT_CORRUPT"), "PARTIAL", 0, words)
        }
        Unrecognized => (failed("REPORT_UNRECOGNIZED"), "", 0, refusal(name)),
        Empty => unreachable!("never a task"),
    };
    assert_eq!(
        (&task["status"], &task["error"]["code"]),
        (&json!(status), &code),
        "{name}: {task:#}"
    );
    assert_eq!(task["findings"]["totalCount"], findings, "{name}: {task:#}");
    let result = &task["scanResult"];
    if completeness.is_empty() {
        assert!(result.is_null(), "{name}: {task:#}");
    } else {
        assert_eq!(result["completeness"], completeness, "{name}: {task:#}");
        assert_eq!(result["findings"], findings, "{name}");
        let occurrences = if let Again(_, more) = good { *more } else { 0 };
        assert_eq!(result["occurrences"], occurrences, "{name}");
    }
    if status == "FAILED" {
        let message = text(&task["error"]["message"]);
        assert!(
            message.contains(name) && message.contains(&words) && message.len() < 1000,
            "{name}: {message}"
        );
    } else if completeness == "PARTIAL" {
        let notes = result["diagnostics"].as_array().unwrap();
        assert!(
            notes.iter().any(|note| note["code"] == words.as_str()),
            "{name}: what is lost must be said: {task:#}"
        );
    }
}

/// The report can be had as it came.
async fn check_kept(acme: &Client, name: &str, task: &Value) {
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

#[tokio::test]
async fn a_gzip_report_of_two_hundred_thousand_findings_is_stored_whole() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme
        .import(&project, "findings-200k.json.gz", checkout::read(MANY))
        .await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    // a list is counted no further
    assert_eq!(
        done["findings"],
        json!({ "totalCount": 10_000, "isTotalCountExact": false })
    );
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
    assert_eq!(
        cut["error"]["message"],
        "\"cut.json.gz\": the gzip report cannot be unpacked: incomplete deflate stream"
    );
    // 11 members of 100 MB each, one after the other, unpack to more than a gigabyte
    let bomb = checkout::read("tests/fixtures/hostile/archive/gzip-bomb-100m.tar.gz").repeat(11);
    let task = acme.import(&project, "bomb.json.gz", bomb).await;
    let bomb = acme.ends_as(&task, "FAILED").await;
    assert_eq!(bomb["error"]["code"], "ARCHIVE_REFUSED", "{bomb:#}");
    assert_eq!(
        bomb["error"]["message"],
        "\"bomb.json.gz\": the gzip report unpacks to more than 1073741824 bytes"
    );
    let task = acme.import(&project, "report.json", report::semgrep(2)).await;
    acme.ends_as(&task, "COMPLETED").await;
}
