//! A plugin that loops, eats, crashes, floods or lies fails its own task, and nothing else.

mod before_tasks;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{App, Client, Plan, checkout, order, report, text};

const DEADLINE_SECONDS: u64 = 2;
const TOO_LATE: &str = "did not finish within 2 seconds";

/// A server whose only plugin is the hostile one.
async fn hostile() -> (App, Client, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        checkout::test_plugin("hostile.wasm"),
        folder.path().join("hostile.wasm"),
    )
    .unwrap();
    let app = Plan::new()
        .set("plugin_dir", folder.path().display())
        .set("plugin_deadline_seconds", format!("{DEADLINE_SECONDS}s"))
        .set("plugin_memory_bytes_max", "64MiB")
        .start()
        .await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    (app, acme, project)
}

async fn deed(acme: &Client, project: &str, name: &str) -> String {
    acme.import_with(project, "lines.txt", b"a\nb\nc\n".to_vec(), json!({ "do": name }))
        .await
}

/// A deed, the code and the reason of its task's failure, and the findings that are kept.
const DEEDS: [(&str, &str, &str, u64); 16] = [
    ("loop", "PLUGIN_FAILED", TOO_LATE, 0),
    (
        "grow",
        "PLUGIN_FAILED",
        "ran out of its 67108864 bytes of memory",
        0,
    ),
    ("recurse", "PLUGIN_FAILED", "crashed (memory-out-of-bounds)", 0),
    ("trap", "PLUGIN_FAILED", "crashed (unreachable)", 0),
    (
        "flood-log",
        "PLUGIN_FAILED",
        "the limit of 262144 bytes of log lines",
        0,
    ),
    ("flood-artifact", "PLUGIN_FAILED", TOO_LATE, 0),
    (
        "flood-artifacts",
        "PLUGIN_FAILED",
        "the limit of 1000 handles at a time",
        0,
    ),
    (
        "flood-diagnostics",
        "PLUGIN_FAILED",
        "the limit of 1000 diagnostics",
        0,
    ),
    (
        "flood-progress",
        "PLUGIN_FAILED",
        "the limit of 1000000 calls without effect",
        0,
    ),
    (
        "huge-strings",
        "PLUGIN_FAILED",
        "ran out of its 67108864 bytes of memory",
        0,
    ),
    ("rewind-forever", "PLUGIN_FAILED", TOO_LATE, 0),
    ("loop-in-plan", "PLUGIN_FAILED", TOO_LATE, 0),
    ("read-after-end", "REPORT_CORRUPT", "the host refused: closed", 0),
    ("emit-then-trap", "PLUGIN_FAILED", "crashed (unreachable)", 15),
    ("emit-then-fail", "REPORT_CORRUPT", "failed as asked", 15),
    ("nonsense", "BAD_OPTIONS", "nonsense", 0),
];

#[tokio::test]
async fn every_hostile_deed_fails_its_task_with_the_reason() {
    let (_app, acme, project) = hostile().await;
    let mut orders = Vec::new();
    for (name, code, reason, kept) in DEEDS {
        orders.push((name, code, reason, kept, deed(&acme, &project, name).await));
    }
    for (name, code, reason, kept, task) in orders {
        let task = acme.ends_as(&task, "FAILED").await;
        assert_eq!(task["error"]["code"], code, "{name}: {task:#}");
        let message = text(&task["error"]["message"]);
        // on a busy machine a flood may reach the deadline before it reaches its own limit
        let is_told = message.contains(reason) || name.starts_with("flood") && message.contains(TOO_LATE);
        assert!(
            message.starts_with("\"lines.txt\": ") && is_told,
            "{name}: {message}"
        );
        assert_eq!(task["findings"]["totalCount"], kept, "{name}: {task:#}");
        assert_eq!(task["attempt"], 1, "{name}: trying again would not help");
        assert_eq!(task["artifacts"][0]["kind"], "report", "{name}: {task:#}");
    }
    let good = acme
        .ends_as(&deed(&acme, &project, "echo").await, "COMPLETED")
        .await;
    assert_eq!(good["findings"]["totalCount"], 3);
}

#[tokio::test]
async fn a_plugin_that_emits_for_ever_is_stopped_and_what_it_emitted_is_kept() {
    let (_app, acme, project) = hostile().await;
    let task = acme
        .ends_as(&deed(&acme, &project, "flood-findings").await, "FAILED")
        .await;
    assert_eq!(task["error"]["code"], "PLUGIN_FAILED");
    let kept = task["findings"]["totalCount"].as_u64().unwrap();
    assert!(0 < kept && kept <= 500_000, "{kept}");
    assert_eq!(task["scanResult"]["findings"], kept);
    assert_eq!(task["scanResult"]["completeness"], "PARTIAL");
}

#[tokio::test]
async fn lies_and_broken_findings_are_put_right() {
    let (_app, acme, project) = hostile().await;
    let lying = acme.ended(&deed(&acme, &project, "lying-outcome").await).await;
    assert_eq!(lying["findings"]["totalCount"], 0, "{lying:#}");
    assert!(
        lying["scanResult"]["findings"] == 0 || lying["status"] == "FAILED",
        "{lying:#}"
    );

    let bad = acme.ended(&deed(&acme, &project, "bad-finding").await).await;
    for finding in acme.findings(&text(&bad["id"])).await {
        let line = text(&finding["title"]) + &text(&finding["tool"]);
        assert!(!line.contains(['\n', '\0']), "{finding}");
    }

    let kept = acme
        .ends_as(&deed(&acme, &project, "artifact").await, "COMPLETED")
        .await;
    let names: Vec<&Value> = kept["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|artifact| &artifact["name"])
        .collect();
    assert_eq!(
        names,
        ["lines.txt", "kept.txt"],
        "the one that was not finished is not kept"
    );
    assert_eq!(
        acme.bytes(&text(&kept["artifacts"][1]["id"])).await,
        b"some bytes"
    );
}

#[tokio::test]
async fn a_good_task_does_not_wait_for_a_looping_neighbour() {
    let (app, acme, project) = hostile().await;
    let looping = deed(&acme, &project, "loop").await;
    acme.reaches(&looping, "RUNNING").await;
    let other = app.tenant("other");
    let shop = other.project("shop").await;
    let started = Instant::now();
    let good = deed(&other, &shop, "echo").await;
    other.ends_as(&good, "COMPLETED").await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(DEADLINE_SECONDS * 20), "{took:?}");
    acme.ends_as(&looping, "FAILED").await;
}

#[tokio::test]
async fn a_plan_with_a_shell_is_refused_before_anything_is_queued() {
    let (_app, acme, project) = hostile().await;
    let archive = acme.upload(&project, "src.zip", report::one_file()).await;
    let refused = acme.mutate("startScan", order(&project, &archive)).await;
    assert!(refused["task"].is_null(), "{refused:#}");
    assert_eq!(refused["errors"][0]["code"], "PLUGIN_FAILED", "{refused:#}");
}
