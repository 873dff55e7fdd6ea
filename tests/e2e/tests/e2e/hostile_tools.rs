//! Tools that hang, flood, fork, crash or lie. The stand-in for semgrep runs what the upload says.

use std::fmt::Write as _;

use serde_json::json;

use crate::harness::process::running_with;
use crate::harness::tool::{Script, Tools};
use crate::harness::{App, Client, Plan, report, text};

/// Inside its box the stand-in does what the upload's own file says.
const OBEY: &str = ". /src/behaviour";

/// A number of seconds that no other process sleeps.
fn unique_seconds() -> String {
    format!("86{}", uuid::Uuid::now_v7().as_u128() % 1_000_000_000)
}

async fn obedient() -> (App, Client, String) {
    let script = Script::new(OBEY)
        .limit("wall_seconds", 4)
        .limit("memory_bytes", 64 << 20)
        .limit("stream_bytes", 64 << 10)
        .limit("file_bytes", 1 << 20);
    let app = Plan::new()
        .tools(Tools::Script(script))
        .set("max_attempts", 1)
        .start()
        .await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    (app, acme, project)
}

async fn behave(acme: &Client, project: &str, behaviour: &str) -> String {
    acme.scan(
        project,
        "src.zip",
        report::archive([("behaviour", behaviour.as_bytes())]),
    )
    .await
}

#[tokio::test]
async fn every_bad_end_of_a_tool_is_told_and_nothing_of_it_lives_on() {
    let (app, acme, project) = obedient().await;
    let marker = unique_seconds();
    let asleep = format!("sleep {marker}");
    let cases = [
        (
            "hangs",
            format!("exec {asleep}"),
            "TIMEOUT",
            "TOOL_TIMEOUT",
            "timed_out",
        ),
        (
            "hangs and ignores signals",
            format!("trap '' TERM INT HUP; while :; do {asleep}; done"),
            "TIMEOUT",
            "TOOL_TIMEOUT",
            "timed_out",
        ),
        (
            "floods stdout",
            "exec yes".to_owned(),
            "FAILED",
            "TOOL_LIMIT",
            "output_limit",
        ),
        (
            "floods stderr",
            "exec yes >&2".to_owned(),
            "FAILED",
            "TOOL_LIMIT",
            "output_limit",
        ),
        (
            "floods its report",
            "exec yes > /out/report".to_owned(),
            "FAILED",
            "TOOL_LIMIT",
            "output_limit",
        ),
        (
            "forks",
            format!("for i in $(seq 100); do {asleep} & done; wait"),
            "FAILED",
            "TOOL_LIMIT",
            "process_limit",
        ),
        (
            "eats memory",
            "head -c 500M /dev/zero | tail -c 500M | sleep 60".to_owned(),
            "FAILED",
            "TOOL_LIMIT",
            "memory_limit",
        ),
        (
            "fails",
            "echo why >&2; exit 7".to_owned(),
            "FAILED",
            "TOOL_FAILED",
            "exited",
        ),
        (
            "writes no report",
            "exit 0".to_owned(),
            "FAILED",
            "TOOL_FAILED",
            "exited",
        ),
        (
            "writes no JSON",
            "echo hello > /out/report".to_owned(),
            "FAILED",
            "REPORT_UNRECOGNIZED",
            "exited",
        ),
        (
            "dies by a signal",
            "kill -SEGV $$".to_owned(),
            "DEAD_LETTER",
            "ATTEMPTS_EXHAUSTED",
            "killed",
        ),
    ];
    let mut orders = Vec::new();
    for (name, behaviour, status, code, ended_by) in &cases {
        orders.push((
            name,
            status,
            code,
            ended_by,
            behave(&acme, &project, behaviour).await,
        ));
    }
    let mut wrong = String::new();
    for (name, status, code, ended_by, task) in orders {
        let task = acme.ended(&task).await;
        let run = &task["toolExecutions"][0];
        let got = (&task["status"], &task["error"]["code"], &run["endedBy"]);
        if got != (&json!(status), &json!(code), &json!(ended_by)) {
            writeln!(wrong, "{name}: {got:?} {task:#}").unwrap();
        }
        assert_eq!(task["findings"]["totalCount"], 0, "{name}");
        let streams: u64 = [&run["stdout"]["sizeBytes"], &run["stderr"]["sizeBytes"]]
            .iter()
            .map(|size| size.as_u64().unwrap_or(0))
            .sum();
        assert!(streams <= 2 * (64 << 10), "{name}: {run:#}");
        if name.starts_with("floods std") {
            assert_eq!(streams, 64 << 10, "{name}: what fitted is kept: {run:#}");
        }
        if *name == "fails" {
            assert_eq!(acme.bytes(&text(&run["stderr"]["id"])).await, b"why\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(running_with(&asleep), [], "a child outlived its box");
    let good = behave(
        &acme,
        &project,
        "echo '{\"results\":[],\"errors\":[],\"version\":\"1\",\"paths\":{}}' > /out/report",
    )
    .await;
    acme.ends_as(&good, "COMPLETED").await;
    drop(app);
}

#[tokio::test]
async fn a_child_that_left_its_session_does_not_outlive_a_good_run() {
    let (app, acme, project) = obedient().await;
    let marker = unique_seconds();
    let behaviour = format!(
        "(setsid sleep {marker} >/dev/null 2>&1 </dev/null &)\n\
         echo '{{\"results\":[],\"errors\":[],\"version\":\"1\",\"paths\":{{}}}}' > /out/report"
    );
    let task = behave(&acme, &project, &behaviour).await;
    acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(running_with(&marker), []);
    drop(app);
}

#[tokio::test]
async fn a_box_shows_a_tool_nothing_of_the_machine() {
    let (app, acme, project) = obedient().await;
    let secret = app.folder().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let behaviour = format!(
        "cat {} /etc/passwd /etc/shadow /root/.bashrc 2>/dev/null\n\
         (exec 3<>/dev/tcp/127.0.0.1/{}) 2>/dev/null && echo connected\n\
         touch /src/new /rules/new /usr/new 2>/dev/null && echo wrote\n\
         env | grep -i -e tamiz -e postgres -e token\n\
         ls /proc | grep -c '^[0-9]' >&2\n\
         echo '{{\"results\":[],\"errors\":[],\"version\":\"1\",\"paths\":{{}}}}' > /out/report",
        secret.display(),
        acme.address().rsplit(':').next().unwrap(),
    );
    let task = behave(&acme, &project, &behaviour).await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert!(done["toolExecutions"][0]["stdout"].is_null(), "{done:#}");
    let seen = acme
        .bytes(&text(&done["toolExecutions"][0]["stderr"]["id"]))
        .await;
    let seen: u32 = String::from_utf8(seen).unwrap().trim().parse().unwrap();
    assert!(seen < 8, "{seen} processes are seen");
}

#[tokio::test]
async fn a_worker_without_the_tool_says_so() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme
        .scan(&project, "src.zip", report::archive([("a.py", b"1".as_slice())]))
        .await;
    let failed = acme.ends_as(&task, "FAILED").await;
    assert_eq!(failed["error"]["code"], "TOOL_UNAVAILABLE", "{failed:#}");
}
