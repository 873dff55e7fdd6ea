//! The main road: a zip goes in, real findings come out live.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::tool::{Tools, semgrep_turn};
use crate::harness::{App, Plan, checkout, sha256, text};

/// Rule, file and line of what the bundled rules find in the bundled application, sorted.
pub(crate) fn expected_places() -> Vec<String> {
    let table = String::from_utf8(checkout::read("demo/expected-findings.tsv")).unwrap();
    let mut places: Vec<String> = table.lines().skip(1).map(str::to_owned).collect();
    places.sort();
    places
}

pub(crate) fn vulnshop() -> Vec<u8> {
    checkout::read("demo/vulnshop.zip")
}

#[tokio::test]
async fn a_zip_goes_in_and_real_findings_come_out_live() {
    let _turn = semgrep_turn().await;
    let app = Plan::new().tools(Tools::Bundled).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.scan(&project, "vulnshop.zip", vulnshop()).await;
    let live = acme.events(&task, 0).await.rest().await;

    let done = acme.ends_as(&task, "COMPLETED").await;
    let expected = expected_places();
    assert_eq!(acme.places(&task).await, expected);
    check_events(&live, expected.len());
    check_totals(&acme.findings(&task).await, &done["scanResult"]);
    check_execution(&done);
    check_artifacts(&app, &acme, &done).await;
}

/// All phases in order, numbered without gaps, with the count at the end.
fn check_events(events: &[Value], findings: usize) {
    let mut phases: Vec<&str> = events
        .iter()
        .map(|event| event["phase"].as_str().unwrap())
        .collect();
    phases.dedup();
    assert_eq!(
        phases,
        ["QUEUED", "PREPARING", "SCANNING", "CONVERTING", "STORING", "DONE"],
        "{events:#?}"
    );
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], index + 1);
    }
    let last = events.last().unwrap();
    assert_eq!(
        (&last["status"], &last["done"]),
        (&json!("COMPLETED"), &json!(findings))
    );
    let says = |words: &str| events.iter().any(|event| text(&event["message"]).contains(words));
    assert!(says("unpacked 26 files"), "{events:#?}");
    assert!(says("running semgrep 1."), "{events:#?}");
    assert!(says(&format!("storing {findings} findings")), "{events:#?}");
}

/// The totals are those of the findings.
fn check_totals(findings: &[Value], totals: &Value) {
    let count = |field: &str| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for finding in findings {
            *counts.entry(text(&finding[field])).or_default() += 1;
        }
        json!(counts)
    };
    assert_eq!(totals["findings"], findings.len());
    assert_eq!(totals["completeness"], "COMPLETE", "{totals:#}");
    assert_eq!(totals["formats"], json!(["semgrep-json"]));
    assert_eq!(totals["byRule"], count("ruleId"));
    assert_eq!(totals["byFile"], count("file"));
    let severities = count("severity");
    for (severity, counted) in totals["bySeverity"].as_object().unwrap() {
        let found = severities
            .get(severity.to_uppercase())
            .and_then(Value::as_u64)
            .unwrap_or(0);
        assert_eq!(counted, found, "{severity}");
    }
}

fn check_execution(task: &Value) {
    let runs = task["toolExecutions"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{runs:#?}");
    let run = &runs[0];
    assert_eq!(
        (&run["tool"], &run["exitCode"], &run["endedBy"]),
        (&json!("semgrep"), &json!(0), &json!("exited"))
    );
    let pinned = String::from_utf8(checkout::read("scripts/semgrep-requirements.txt")).unwrap();
    assert!(
        pinned.contains(&format!("semgrep=={}", text(&run["toolVersion"]))),
        "{run:#}"
    );
    assert!(text(&run["startedAt"]) < text(&run["finishedAt"]));
    assert!(
        run["metrics"]["memoryBytesPeak"].as_u64().unwrap() > 1 << 20,
        "{run:#}"
    );
}

/// Every artifact can be had, is what the row says, and is never shown as a page of ours.
async fn check_artifacts(app: &App, client: &crate::harness::Client, task: &Value) {
    let artifacts = task["artifacts"].as_array().unwrap();
    let mut kinds: Vec<String> = artifacts.iter().map(|artifact| text(&artifact["kind"])).collect();
    kinds.sort();
    assert!(
        kinds.contains(&"report".to_owned()) && kinds.contains(&"stderr".to_owned()),
        "{kinds:?}"
    );
    for artifact in artifacts {
        let path = text(&artifact["path"]);
        let answer = client.request(Method::GET, &path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), text(&artifact["mediaType"]));
        assert!(header("content-disposition").starts_with("attachment; filename="));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("etag"), format!("\"{}\"", text(&artifact["sha256"])));
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(artifact["sha256"], sha256(&bytes));
        assert_eq!(artifact["sizeBytes"], bytes.len());
        if artifact["kind"] == "report" {
            let report: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(report["results"].as_array().unwrap().len(), 48);
        }
        let anonymous = app.client("").request(Method::GET, &path).send().await.unwrap();
        assert_eq!(anonymous.status(), 401);
    }
}

#[tokio::test]
async fn rules_of_the_task_replace_the_bundled_ones() {
    let _turn = semgrep_turn().await;
    let app = Plan::new().tools(Tools::Bundled).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let archive = acme.upload(&project, "vulnshop.zip", vulnshop()).await;
    let rules = "rules:\n- id: any-import\n  languages: [python]\n  severity: ERROR\n  message: an import\n  pattern: import $X\n";
    let rules = acme.upload(&project, "rules.yml", rules.into()).await;
    let mut order = crate::harness::order(&project, &archive);
    order["rulesUploadId"] = json!(rules);
    let started = acme.mutate("startScan", order).await;
    let task = text(&started["task"]["id"]);
    acme.ends_as(&task, "COMPLETED").await;
    let findings = acme.findings(&task).await;
    assert!(!findings.is_empty());
    for finding in &findings {
        assert_eq!(finding["ruleId"], "any-import", "{finding}");
        assert!(text(&finding["file"]).starts_with("python/"), "{finding}");
    }
}
