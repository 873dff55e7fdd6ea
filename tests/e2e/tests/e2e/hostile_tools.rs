//! Tools that hang, flood, fork, crash or lie. The stand-in for semgrep runs what the upload says.

use serde_json::{Value, json};

use crate::harness::process::running_with;
use crate::harness::tool::{Script, Tools};
use crate::harness::{App, Client, Plan, order, report, text};

/// Inside its box the stand-in does what the upload's own file says.
const OBEY: &str = ". /src/behaviour";

/// A run that found nothing.
const EMPTY_REPORT: &str =
    "echo '{\"results\":[],\"errors\":[],\"version\":\"1\",\"paths\":{}}' > /out/report";
const STREAM_BYTES_MAX: u64 = 64 << 10;

/// A number of seconds that no other process sleeps.
fn unique_seconds() -> String {
    format!("86{}", uuid::Uuid::now_v7().as_u128() % 1_000_000_000)
}

async fn obedient() -> (App, Client, String) {
    let script = Script::new(OBEY)
        .limit("wall_seconds", 4)
        .limit("memory_bytes", 64 << 20)
        .limit("stream_bytes", STREAM_BYTES_MAX)
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

/// What a tool does, and how its task ends: status, code, how the run ended, words of the message.
/// `ASLEEP` stands for a long sleep.
const BAD_ENDS: [(&str, &str, [&str; 4]); 11] = [
    ("hangs", "exec ASLEEP", TIMED_OUT),
    (
        "hangs and ignores signals",
        "trap '' TERM INT HUP; while :; do ASLEEP; done",
        TIMED_OUT,
    ),
    (
        "floods stdout",
        "exec yes",
        [
            "FAILED",
            "TOOL_LIMIT",
            "output_limit",
            "it wrote more than 65536 bytes to stdout",
        ],
    ),
    (
        "floods stderr",
        "exec yes >&2",
        [
            "FAILED",
            "TOOL_LIMIT",
            "output_limit",
            "it wrote more than 65536 bytes to stderr",
        ],
    ),
    (
        "floods its report",
        "exec yes > /out/report",
        [
            "FAILED",
            "TOOL_LIMIT",
            "output_limit",
            "it wrote more than 1048576 bytes to report",
        ],
    ),
    (
        "forks",
        "for i in $(seq 100); do ASLEEP & done; wait",
        [
            "FAILED",
            "TOOL_LIMIT",
            "process_limit",
            "it had more than 24 processes",
        ],
    ),
    (
        "eats memory",
        "head -c 500M /dev/zero | tail -c 500M | sleep 60",
        [
            "FAILED",
            "TOOL_LIMIT",
            "memory_limit",
            "it used more than 67108864 bytes of memory",
        ],
    ),
    (
        "fails",
        "echo why >&2; exit 7",
        ["FAILED", "TOOL_FAILED", "exited", "it ended with exit code 7"],
    ),
    (
        "writes no report",
        "exit 0",
        [
            "FAILED",
            "TOOL_FAILED",
            "exited",
            "it ended with exit code 0 but did not write its report",
        ],
    ),
    (
        "writes no JSON",
        "echo hello > /out/report",
        [
            "FAILED",
            "REPORT_UNRECOGNIZED",
            "exited",
            "no plugin recognises the report: codeaudit: `semgrep-report.json` ",
        ],
    ),
    (
        "dies by a signal",
        "kill -SEGV $$",
        [
            "DEAD_LETTER",
            "ATTEMPTS_EXHAUSTED",
            "killed",
            "it was killed by signal 11; the limit of 1 attempts is reached",
        ],
    ),
];
const TIMED_OUT: [&str; 4] = ["TIMEOUT", "TOOL_TIMEOUT", "timed_out", "the limit of 4 s"];

/// One end is as it should be, and of its output what fitted is kept.
async fn check_bad_end(acme: &Client, name: &str, [status, code, ended_by, words]: [&str; 4], task: &Value) {
    let run = &task["toolExecutions"][0];
    assert_eq!(
        (&task["status"], &task["error"]["code"], &run["endedBy"]),
        (&json!(status), &json!(code), &json!(ended_by)),
        "{name}: {task:#}"
    );
    let message = text(&task["error"]["message"]);
    assert!(message.contains(words), "{name}: {message}");
    assert!(
        code == "REPORT_UNRECOGNIZED" || message.starts_with("semgrep did not do its work: "),
        "{name}: {message}"
    );
    assert_eq!(task["findings"]["totalCount"], 0, "{name}");
    let streams: u64 = [&run["stdout"]["sizeBytes"], &run["stderr"]["sizeBytes"]]
        .iter()
        .map(|size| size.as_u64().unwrap_or(0))
        .sum();
    assert!(streams <= 2 * STREAM_BYTES_MAX, "{name}: {run:#}");
    if name.starts_with("floods std") {
        assert_eq!(streams, STREAM_BYTES_MAX, "{name}: what fitted is kept: {run:#}");
    }
    if name == "fails" {
        assert_eq!(acme.bytes(&text(&run["stderr"]["id"])).await, b"why\n");
    }
}

#[tokio::test]
async fn every_bad_end_of_a_tool_is_told_and_nothing_of_it_lives_on() {
    let (app, acme, project) = obedient().await;
    let asleep = format!("sleep {}", unique_seconds());
    let mut orders = Vec::new();
    for (name, behaviour, end) in BAD_ENDS {
        let behaviour = behaviour.replace("ASLEEP", &asleep);
        orders.push((name, end, behave(&acme, &project, &behaviour).await));
    }
    for (name, end, task) in orders {
        check_bad_end(&acme, name, end, &acme.ended(&task).await).await;
    }
    assert_eq!(running_with(&asleep), [], "a child outlived its box");
    let good = behave(&acme, &project, EMPTY_REPORT).await;
    acme.ends_as(&good, "COMPLETED").await;
    drop(app);
}

/// One finding, written before the tool hangs; in the second case it is in the middle of another one.
const FINDING: &str = r#"{"check_id":"r","path":"a.py","start":{"line":1,"col":1},"end":{"line":1,"col":2},"extra":{"message":"m","severity":"ERROR"}}"#;

#[tokio::test]
async fn what_a_tool_wrote_until_its_deadline_counts_as_a_part() {
    let (app, acme, project) = obedient().await;
    for tail in [
        r#"],"errors":[],"version":"1","paths":{}}"#,
        r#",{"check_id":"r","pa"#,
    ] {
        let report = format!("{{\"results\":[{FINDING}{tail}");
        let behaviour = format!("printf %s '{report}' > /out/report; sleep {}", unique_seconds());
        let task = behave(&acme, &project, &behaviour).await;
        let done = acme.ends_as(&task, "COMPLETED").await;
        assert_eq!(done["toolExecutions"][0]["endedBy"], "timed_out", "{done:#}");
        let result = &done["scanResult"];
        assert_eq!(
            (&result["findings"], &result["completeness"]),
            (&json!(1), &json!("PARTIAL")),
            "{done:#}"
        );
        assert!(result.to_string().contains("tool-timed-out"), "{done:#}");
    }
    drop(app);
}

#[tokio::test]
async fn what_a_tool_left_out_makes_a_good_report_a_part() {
    let (app, acme, project) = obedient().await;
    let task = behave(&acme, &project, &format!("{EMPTY_REPORT}\nexit 2")).await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    let result = &done["scanResult"];
    assert_eq!(result["completeness"], "PARTIAL", "{done:#}");
    assert!(result.to_string().contains("tool-ran-partly"), "{done:#}");
    drop(app);
}

#[tokio::test]
async fn a_child_that_left_its_session_does_not_outlive_a_good_run() {
    let (app, acme, project) = obedient().await;
    let marker = unique_seconds();
    let behaviour = format!("(setsid sleep {marker} >/dev/null 2>&1 </dev/null &)\n{EMPTY_REPORT}");
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
         env | grep -v ^PATH= | grep -i -e tamiz -e postgres -e token\n\
         ls /proc | grep -c '^[0-9]' >&2\n\
         {EMPTY_REPORT}",
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
async fn a_task_waits_for_a_worker_that_has_its_tool() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let archive = report::one_file();
    let task = acme.scan(&project, "src.zip", archive).await;
    let import = acme.import(&project, "report.json", report::semgrep(1)).await;
    acme.ends_as(&import, "COMPLETED").await;
    let waiting = acme.task(&task).await;
    assert_eq!(
        (&waiting["status"], &waiting["attempt"]),
        (&json!("QUEUED"), &json!(0)),
        "a worker without the tool leaves it to another"
    );
    let mut events = acme.events(&task, 0).await;
    let first = events.event().await.expect("it waits");
    assert_eq!(first["message"], "waiting for a worker with semgrep");
    acme.mutate("cancelTask", json!({ "taskId": task })).await;
    acme.ends_as(&task, "CANCELLED").await;
}

#[tokio::test]
async fn rules_that_the_tool_cannot_use_are_refused_by_name() {
    let (_app, acme, project) = obedient().await;
    let behaviour = "echo; printf 'no rule \\033in rules.yml\\n' >&2; exit 7";
    let archive = report::archive([("behaviour", behaviour.as_bytes())]);
    let upload = acme.upload(&project, "src.zip", archive).await;
    let scan = async |rules: &[u8]| {
        let rules = acme.upload(&project, "mine.yml", rules.to_vec()).await;
        let mut input = order(&project, &upload);
        input["rulesUploadId"] = json!(rules);
        acme.mutate("startScan", input).await
    };
    for (rules, says) in [
        (
            b"rules: []".as_slice(),
            "\"mine.yml\": semgrep cannot use these rules: it says \"no rule in rules.yml\"",
        ),
        (
            b"rules: \xff",
            "\"mine.yml\": rules are UTF-8 text, and byte 7 is not",
        ),
    ] {
        let task = text(&scan(rules).await["task"]["id"]);
        let failed = acme.ends_as(&task, "FAILED").await;
        assert_eq!(failed["error"]["code"], "RULES_INVALID", "{failed:#}");
        assert!(text(&failed["error"]["message"]).starts_with(says), "{failed:#}");
    }
    let refused = scan(&vec![b'#'; 8 * 1024 * 1024 + 1]).await;
    assert_eq!(
        refused["errors"][0]["path"],
        json!(["input", "rulesUploadId"]),
        "{refused}"
    );

    let task = text(&acme.mutate("startScan", order(&project, &upload)).await["task"]["id"]);
    let failed = acme.ends_as(&task, "FAILED").await;
    assert_eq!(
        failed["error"]["code"], "TOOL_FAILED",
        "the operator's rules: {failed:#}"
    );
}
