//! When tasks run and what they end with: their time, their limit of time, twins, groups, pauses, redrives.

mod schedules;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::stream::EventStream;
use crate::harness::tool::{WAIT_FOR_GO, WRITE_REPORT, stand_in};
use crate::harness::wait::{PATIENCE, SOON};
use crate::harness::{Client, Plan, Said, checkout, order, report, text, until};

/// From the wish to the end of what runs.
const CANCEL_MAX: Duration = Duration::from_secs(2);

/// A poll of two seconds and what a busy machine adds.
const POLLED_MAX: Duration = Duration::from_secs(6);

async fn start(client: &Client, project: &str, upload: &str, more: Value) -> Value {
    let mut input = order(project, upload);
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    let selection = "existing task { id status runAt timeoutSeconds waitsFor { reason message until } }";
    client
        .mutate_for("startScan", "StartScanInput", input, selection)
        .await
}

async fn field(client: &Client, task: &str, selection: &str) -> Value {
    let document = format!("query($id: ID!) {{ task(id: $id) {{ {selection} }} }}");
    client.data(&document, json!({ "id": task })).await["task"].take()
}

#[tokio::test]
async fn a_running_conversion_is_interrupted_within_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        checkout::test_plugin("hostile.wasm"),
        folder.path().join("hostile.wasm"),
    )
    .unwrap();
    let plan = Plan::new().set("plugin_dir", folder.path().display());
    let app = plan.set("plugin_deadline_seconds", "5m").start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let looping = json!({ "do": "loop" });
    let task = acme
        .import_with(&project, "lines.txt", b"a\nb\n".to_vec(), looping)
        .await;
    until("the conversion", SOON, async || {
        (acme.task(&task).await["phase"] == "CONVERTING").then_some(())
    })
    .await;
    let asked = Instant::now();
    acme.mutate("cancelTask", json!({ "taskId": task })).await;
    until("the end of the guest", SOON, async || {
        (acme.task(&task).await["status"] == "CANCELLED").then_some(())
    })
    .await;
    let took = asked.elapsed();
    assert!(took < CANCEL_MAX, "{took:?}");
}

#[tokio::test]
async fn an_attempt_has_its_time_for_tools_and_conversion_together() {
    let plan = Plan::new().set("task_timeouts", "codeaudit=1s,web=2h");
    let (_app, acme, project) = stand_in(plan, "exec sleep 600").await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    let own = start(&acme, &project, &upload, json!({ "timeoutSeconds": 2 })).await;
    assert_eq!(own["task"]["timeoutSeconds"], 2, "{own}");
    let by_type = start(&acme, &project, &upload, json!({})).await;
    assert!(by_type["task"]["timeoutSeconds"].is_null(), "{by_type}");
    for (order, seconds) in [(own, 2), (by_type, 1)] {
        let task = acme.ends_as(&text(&order["task"]["id"]), "TIMEOUT").await;
        assert_eq!(task["error"]["code"], "TASK_TIMEOUT", "{task:#}");
        let message = text(&task["error"]["message"]);
        assert!(message.contains(&format!("after {seconds} seconds")), "{message}");
        assert_eq!(task["attempt"], 1, "it is not tried again");
    }
    let refused = start(&acme, &project, &upload, json!({ "timeoutSeconds": 0 })).await;
    assert_eq!(
        refused["errors"][0]["path"],
        json!(["input", "timeoutSeconds"]),
        "{refused}"
    );
}

#[tokio::test]
async fn a_task_of_later_waits_for_its_time() {
    let (app, acme, project) = stand_in(Plan::new(), WRITE_REPORT).await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(4);
    let later = start(&acme, &project, &upload, json!({ "runAt": soon.to_rfc3339() })).await;
    assert_eq!(later["task"]["waitsFor"]["reason"], "TIME", "{later}");
    let id = text(&later["task"]["id"]);
    acme.ends_as(&id, "COMPLETED").await;
    let began = app.sql(&format!(
        "select extract(epoch from started_at - run_at) between 0 and 30 from tenant.task where id = '{id}'"
    ));
    assert_eq!(began.trim(), "t");
    let far = start(
        &acme,
        &project,
        &upload,
        json!({ "runAt": "2999-01-01T00:00:00Z" }),
    )
    .await;
    assert_eq!(far["errors"][0]["path"], json!(["input", "runAt"]), "{far}");
}

#[tokio::test]
async fn equal_unique_orders_are_one_task_while_it_waits() {
    let (app, acme, project) = stand_in(Plan::new().without_worker(), WRITE_REPORT).await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    // the same bytes under another name
    let copy = acme.upload(&project, "copy.zip", report::one_file()).await;
    let unique = json!({ "unique": true });
    let orders =
        [&upload, &copy, &upload, &copy].map(|upload| start(&acme, &project, upload, unique.clone()));
    let answers = futures_util::future::join_all(orders).await;
    let existing = answers.iter().filter(|answer| answer["existing"] == true).count();
    assert_eq!(existing, 3, "{answers:#?}");
    let id = text(&answers[0]["task"]["id"]);
    assert!(answers.iter().all(|answer| answer["task"]["id"] == json!(id)));
    let other = start(
        &acme,
        &project,
        &upload,
        json!({ "unique": true, "priority": 3, "options": {} }),
    )
    .await;
    assert_eq!(
        other["existing"], true,
        "the priority makes no other order: {other}"
    );
    let not_unique = start(&acme, &project, &upload, json!({})).await;
    assert_eq!(not_unique["existing"], false);
    let _worker = app.worker("worker");
    acme.ends_as(&id, "COMPLETED").await;
    acme.ends_as(&text(&not_unique["task"]["id"]), "COMPLETED").await;
    let again = start(&acme, &project, &upload, unique).await;
    assert_eq!(again["existing"], false, "{again}");
    acme.ends_as(&text(&again["task"]["id"]), "COMPLETED").await;
}

const GROUP: &str =
    "group { id status unfinished finishedAt counts { status count } tasks { totalCount nodes { id } } }";

#[tokio::test]
async fn a_group_finishes_with_its_last_task_and_says_so_once() {
    let (app, acme, project) = stand_in(Plan::new(), WAIT_FOR_GO).await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    let task = json!({ "scanType": "codeaudit", "uploadId": upload });
    let mut input = json!({ "projectId": project, "name": "nightly", "tasks": [task, task] });
    let made = acme
        .mutate_for("createTaskGroup", "CreateTaskGroupInput", input.clone(), GROUP)
        .await;
    let group = &made["group"];
    assert_eq!(
        (&group["status"], &group["unfinished"]),
        (&json!("OPEN"), &json!(2)),
        "{made:#}"
    );
    let id = text(&group["id"]);
    let added = start(&acme, &project, &upload, json!({ "groupId": id })).await;
    assert_eq!(added["errors"], json!([]));
    let changes = "subscription($id: ID!) { taskGroupChanges(groupId: $id) { status unfinished } }";
    let mut changes = EventStream::open(&acme, changes, json!({ "id": id })).await;
    let close = json!({ "groupId": id });
    let closed = acme
        .mutate_for("closeTaskGroup", "CloseTaskGroupInput", close, GROUP)
        .await;
    assert_eq!(closed["group"]["status"], "RUNNING", "{closed:#}");
    let late = start(&acme, &project, &upload, json!({ "groupId": id })).await;
    assert_eq!(late["errors"][0]["code"], "WRONG_STATE", "{late}");
    acme.mutate("cancelTask", json!({ "taskId": added["task"]["id"] }))
        .await;
    app.go();
    let mut told = Vec::new();
    while let Said::Next(payload) = changes.next().await {
        told.push(payload["data"]["taskGroupChanges"].clone());
    }
    let finished = told.iter().filter(|told| told["status"] == "FINISHED").count();
    assert_eq!(
        (finished, &told.last().unwrap()["unfinished"]),
        (1, &json!(0)),
        "{told:#?}"
    );

    // one that is refused takes all with it
    input["tasks"][1]["scanType"] = json!("nothing-like-it");
    let refused = acme
        .mutate_for("createTaskGroup", "CreateTaskGroupInput", input, GROUP)
        .await;
    let path = json!(["input", "tasks", "1", "scanType"]);
    assert_eq!(
        (&refused["group"], &refused["errors"][0]["path"]),
        (&Value::Null, &path),
        "{refused}"
    );
    assert_eq!(app.sql("select count(*) from tenant.task_group").trim(), "1");
}

#[tokio::test]
async fn what_is_paused_waits_and_says_why_while_what_runs_goes_on() {
    let (app, acme, project) = stand_in(Plan::new(), WAIT_FOR_GO).await;
    let running = acme.scan(&project, "a.zip", report::one_file()).await;
    acme.reaches(&running, "RUNNING").await;
    let pause = json!({ "scanType": "codeaudit", "reason": "an audit" });
    let pauses = "pauses { scanType forEverybody reason pausedBy }";
    let held = acme
        .mutate_for("pauseQueue", "PauseQueueInput", pause.clone(), pauses)
        .await;
    assert_eq!(
        held["errors"][0]["code"], "NOT_ALLOWED",
        "an analyst may not: {held}"
    );
    let admin = app.token("acme", &["--role", "admin"]);
    let held = admin
        .mutate_for("pauseQueue", "PauseQueueInput", pause, pauses)
        .await;
    assert_eq!(held["pauses"][0]["reason"], "an audit", "{held}");
    app.says(&[
        "queue",
        "pause",
        "--scan-type",
        "codeaudit",
        "--reason",
        "the disk is full",
    ]);
    assert!(app.says(&["queue", "paused"]).contains("the disk is full"));

    let waiting = acme.scan(&project, "b.zip", report::one_file()).await;
    let wait = field(&acme, &waiting, "waitsFor { reason message }").await;
    assert_eq!(wait["waitsFor"]["reason"], "PAUSE", "{wait}");
    assert_eq!(
        text(&wait["waitsFor"]["message"]),
        "the operator paused codeaudit: the disk is full"
    );
    app.go();
    acme.ends_as(&running, "COMPLETED").await;
    let resume = json!({ "scanType": "codeaudit" });
    let left = admin
        .mutate_for("resumeQueue", "ResumeQueueInput", resume, pauses)
        .await;
    assert_eq!(left["pauses"][0]["forEverybody"], true, "{left}");
    assert_eq!(field(&acme, &waiting, "status").await["status"], "QUEUED");
    app.says(&["queue", "resume", "--scan-type", "codeaudit"]);
    acme.ends_as(&waiting, "COMPLETED").await;
}

#[tokio::test]
async fn the_operators_pause_of_one_tenant_is_not_the_tenants_to_take_back() {
    let (app, acme, project) = stand_in(Plan::new(), WRITE_REPORT).await;
    let words = ["queue", "pause", "--tenant", "acme", "--reason", "abuse"];
    app.says(&words);
    let waiting = acme.scan(&project, "a.zip", report::one_file()).await;
    let admin = app.token("acme", &["--role", "admin"]);
    let pauses = "pauses { forEverybody byOperator reason pausedBy }";
    let left = admin
        .mutate_for("resumeQueue", "ResumeQueueInput", json!({}), pauses)
        .await;
    let pause = json!({ "forEverybody": false, "byOperator": true, "reason": "abuse", "pausedBy": null });
    assert_eq!(left["pauses"], json!([pause]), "{left}");
    let wait = field(&acme, &waiting, "status waitsFor { message }").await;
    assert_eq!(wait["status"], "QUEUED", "{wait}");
    assert_eq!(
        text(&wait["waitsFor"]["message"]),
        "the operator paused the whole queue: abuse"
    );
    app.says(&["queue", "resume", "--tenant", "acme"]);
    acme.ends_as(&waiting, "COMPLETED").await;
}

#[tokio::test]
async fn a_ticket_that_no_worker_was_told_of_is_claimed_by_the_next_poll() {
    let plan = Plan::new().set("poll_seconds", "2s");
    let (app, acme, project) = stand_in(plan, WRITE_REPORT).await;
    let paused = "select control.queue_pause(id, null, '', 'test', true) from control.tenant";
    app.sql(paused);
    let task = acme.scan(&project, "a.zip", report::one_file()).await;
    assert_eq!(field(&acme, &task, "status").await["status"], "QUEUED");
    // in the database alone: no notification goes out, and the sweep has nothing to put right
    let resumed = "select control.queue_resume(id, null, true) from control.tenant";
    assert_eq!(app.sql(resumed).trim(), "t");
    let ready = Instant::now();
    until("the claim", SOON, async || {
        (field(&acme, &task, "status").await["status"] != "QUEUED").then_some(())
    })
    .await;
    let took = ready.elapsed();
    assert!(took < POLLED_MAX, "{took:?}");
    acme.ends_as(&task, "COMPLETED").await;
}

#[tokio::test]
async fn dead_letters_keep_their_history_and_go_back_by_command_and_by_query() {
    let body = "[ -e \"$install/go\" ] || kill -SEGV $$\ncat \"$install/report.json\" > /out/report";
    let (app, acme, project) = stand_in(Plan::new().set("max_attempts", 2), body).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(acme.scan(&project, "src.zip", report::one_file()).await);
    }
    for task in &tasks {
        acme.ends_as(task, "DEAD_LETTER").await;
    }
    let history = field(
        &acme,
        &tasks[0],
        "attempts { attempt workerId workerHost exitCode durationSeconds outcome error { code message } }",
    )
    .await;
    let outcomes: Vec<&Value> = history["attempts"].as_array().unwrap().iter().collect();
    assert_eq!(outcomes.len(), 2, "{history:#}");
    assert_eq!(
        (&outcomes[0]["outcome"], &outcomes[1]["outcome"]),
        (&json!("retrying"), &json!("dead_letter"))
    );
    assert!(
        text(&outcomes[0]["error"]["message"]).contains("killed by signal 11"),
        "{history:#}"
    );
    assert!(
        outcomes[0]["durationSeconds"].as_f64().unwrap() > 0.0,
        "{history:#}"
    );
    assert!(!text(&outcomes[0]["workerHost"]).is_empty());

    let select = "count sample { id }";
    let dry = json!({ "filter": { "status": "DEAD_LETTER" }, "dryRun": true });
    let preview = acme
        .mutate_for("redriveTasks", "RedriveTasksInput", dry, select)
        .await;
    assert_eq!(
        (&preview["count"], preview["sample"].as_array().unwrap().len()),
        (&json!(3), 3),
        "{preview}"
    );
    let all = json!({ "filter": {} });
    let refused = acme
        .mutate_for("redriveTasks", "RedriveTasksInput", all, select)
        .await;
    assert_eq!(refused["errors"][0]["code"], "INVALID_INPUT", "{refused}");
    app.go();
    let one = json!({ "filter": { "status": "DEAD_LETTER", "scanType": "codeaudit" }, "first": 1 });
    let back = acme
        .mutate_for("redriveTasks", "RedriveTasksInput", one, select)
        .await;
    assert_eq!(
        (&back["count"], &back["sample"][0]["id"]),
        (&json!(1), &json!(tasks[2])),
        "{back}"
    );
    let command = ["queue", "redrive", "--tenant", "acme", "--status", "dead_letter"];
    let dry = app.says(&[&command[..], &["--dry-run"]].concat());
    assert!(dry.starts_with("2 tasks would go back"), "{dry}");
    assert!(app.says(&command).contains("2 tasks went back"));
    for task in &tasks {
        acme.ends_as(task, "COMPLETED").await;
    }
}

#[tokio::test]
async fn many_tasks_are_cancelled_at_once() {
    let (_app, acme, project) = stand_in(Plan::new(), "exec sleep 600").await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        let order = start(&acme, &project, &upload, json!({})).await;
        tasks.push(text(&order["task"]["id"]));
    }
    acme.reaches(&tasks[0], "RUNNING").await;
    acme.reaches(&tasks[1], "RUNNING").await;
    for (status, count) in [("QUEUED", 3), ("RUNNING", 2)] {
        let filter = json!({ "filter": { "status": status } });
        let stopped = acme
            .mutate_for("cancelTasks", "CancelTasksInput", filter, "count")
            .await;
        assert_eq!(stopped["count"], count, "{status}: {stopped}");
    }
    let ends = until("the end of all", PATIENCE, async || {
        let mut ends = Vec::new();
        for task in &tasks {
            ends.push(text(&acme.task(task).await["status"]));
        }
        ends.iter().all(|end| end == "CANCELLED").then_some(ends.len())
    });
    assert_eq!(ends.await, 5);
}
