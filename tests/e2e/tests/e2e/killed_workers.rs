//! A worker that dies in any phase loses its task to another one; the task takes effect once.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::harness::process::Process;
use crate::harness::tool::{Script, Tools, WAIT_FOR_GO, install, semgrep_turn};
use crate::harness::wait::PATIENCE;
use crate::harness::{App, Client, Plan, Workers, report, text, until, with_both_kinds_of_workers};
use crate::whole_road::{expected_places, vulnshop};

/// Enough that converting and storing take their time, few enough that the suite does not.
const FINDINGS: usize = 30_000;

fn plan(workers: Workers) -> Plan {
    Plan::new().workers(workers).without_worker().with_short_leases()
}

/// Kills `worker` in the moment in which the task is seen in `phase`.
async fn kill_in(phase: &str, acme: &Client, task: &str, worker: &mut Process) {
    let mut events = acme.events(task, 0).await;
    loop {
        let event = events
            .event()
            .await
            .expect("the task ended before its worker was killed");
        if event["phase"] == phase && event["status"] == "RUNNING" {
            break;
        }
    }
    worker.kill();
    let seen = acme.task(task).await;
    assert_eq!(
        (&seen["status"], &seen["phase"]),
        (&json!("RUNNING"), &json!(phase)),
        "killed too late"
    );
}

/// The task ended once, by its second attempt, and nothing is lost or doubled.
async fn check_end(app: &App, acme: &Client, task: &str, findings: usize) {
    let done = acme.ends_as(task, "COMPLETED").await;
    assert_eq!(done["attempt"], 2, "{done:#}");
    assert_eq!(done["scanResult"]["findings"], findings);
    let events = acme.all_events(task).await;
    let ends = events.iter().filter(|event| event["phase"] == "DONE").count();
    assert_eq!(ends, 1, "{events:#?}");
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], index + 1);
    }
    let stored = format!(
        "select count(*) || ' ' || count(distinct fingerprint) from tenant.finding where task_id = '{task}'"
    );
    assert_eq!(
        app.sql(&stored),
        format!("{findings} {findings}"),
        "every finding has a place of its own"
    );
    let outcomes =
        format!("select outcome from tenant.task_attempt where task_id = '{task}' order by attempt");
    assert_eq!(app.sql(&outcomes), "lost\ncompleted");
}

with_both_kinds_of_workers! {
    a_worker_killed_while_preparing_loses_its_task_to_another,
    a_worker_killed_while_scanning_loses_its_task_to_another,
    a_worker_killed_while_converting_loses_its_task_to_another,
    a_worker_killed_while_storing_loses_its_task_to_another,
    a_worker_that_is_stopped_and_wakes_up_too_late_changes_nothing,
    a_worker_asked_to_end_finishes_what_it_has,
    a_worker_without_grace_sends_its_task_back_and_no_attempt_is_lost,
}

async fn a_worker_killed_while_preparing_loses_its_task_to_another(workers: Workers) {
    let app = plan(workers)
        .tools(Tools::Script(Script::new(WAIT_FOR_GO)))
        .start()
        .await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(10)).unwrap();
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.scan(&project, "src.zip", report::large_archive(9_000)).await;
    let mut first = app.worker("first");
    kill_in("PREPARING", &acme, &task, &mut first).await;
    app.go();
    let _second = app.worker("second");
    check_end(&app, &acme, &task, 10).await;
    app.leaves_no_scratch().await;
}

async fn a_worker_killed_while_scanning_loses_its_task_to_another(workers: Workers) {
    let _turn = semgrep_turn().await;
    let app = plan(workers).tools(Tools::Bundled).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.scan(&project, "vulnshop.zip", vulnshop()).await;
    let mut first = app.worker("first");
    kill_in("SCANNING", &acme, &task, &mut first).await;
    let _second = app.worker("second");
    check_end_of_scan(&app, &acme, &task).await;
}

/// Real findings may share a fingerprint's line; their places tell.
async fn check_end_of_scan(app: &App, acme: &Client, task: &str) {
    check_end(app, acme, task, expected_places().len()).await;
    assert_eq!(acme.places(task).await, expected_places());
    let task = acme.task(task).await;
    let attempts: Vec<&Value> = task["toolExecutions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["attempt"])
        .collect();
    assert_eq!(attempts, [2], "the lost attempt's run was never handed in");
    app.leaves_no_scratch().await;
}

async fn killed_during_an_import(workers: Workers, phase: &str) {
    let app = plan(workers).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme
        .import(&project, "report.json", report::semgrep(FINDINGS))
        .await;
    let mut first = app.worker("first");
    kill_in(phase, &acme, &task, &mut first).await;
    let _second = app.worker("second");
    check_end(&app, &acme, &task, FINDINGS).await;
    let artifacts = acme.task(&task).await["artifacts"].take();
    assert_eq!(
        artifacts.as_array().unwrap().len(),
        1,
        "the report once: {artifacts:#}"
    );
    app.leaves_no_scratch().await;
}

async fn a_worker_killed_while_converting_loses_its_task_to_another(workers: Workers) {
    killed_during_an_import(workers, "CONVERTING").await;
}

async fn a_worker_killed_while_storing_loses_its_task_to_another(workers: Workers) {
    killed_during_an_import(workers, "STORING").await;
}

async fn a_worker_that_is_stopped_and_wakes_up_too_late_changes_nothing(workers: Workers) {
    let app = plan(workers).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme
        .import(&project, "report.json", report::semgrep(FINDINGS))
        .await;
    let first = app.worker("first");
    let mut events = acme.events(&task, 0).await;
    while events.event().await.expect("it is not over")["phase"] != "CONVERTING" {}
    first.freeze();
    let mut second = app.worker("second");
    check_end(&app, &acme, &task, FINDINGS).await;
    second.kill();
    let before = acme.task(&task).await;
    first.thaw();
    until("the late worker's own insight", PATIENCE, async || {
        let log = first.log();
        (log.contains("too late") || log.contains("LeaseLost")).then_some(())
    })
    .await;
    assert_eq!(acme.task(&task).await, before);
    check_end(&app, &acme, &task, FINDINGS).await;
    app.leaves_no_scratch().await;
}

async fn a_worker_asked_to_end_finishes_what_it_has(workers: Workers) {
    let app = plan(workers)
        .tools(Tools::Script(Script::new(WAIT_FOR_GO)))
        .start()
        .await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(10)).unwrap();
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let archive = report::one_file();
    let task = acme.scan(&project, "src.zip", archive.clone()).await;
    let mut worker = app.worker("first");
    let mut events = acme.events(&task, 0).await;
    while events.event().await.expect("it is not over")["phase"] != "SCANNING" {}
    worker.terminate();
    until("the worker's draining", PATIENCE, async || {
        worker.log().contains("draining").then_some(())
    })
    .await;
    let later = acme.scan(&project, "src.zip", archive).await;
    app.go();
    assert!(worker.ends(PATIENCE).success());
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(done["attempt"], 1);
    assert_eq!(
        acme.task(&later).await["status"],
        "QUEUED",
        "a draining worker takes nothing new"
    );
    let _second = app.worker("second");
    acme.ends_as(&later, "COMPLETED").await;
}

async fn a_worker_without_grace_sends_its_task_back_and_no_attempt_is_lost(workers: Workers) {
    let app = plan(workers)
        .set("shutdown_grace_seconds", "0s")
        .set("max_attempts", 1)
        .tools(Tools::Script(Script::new(WAIT_FOR_GO)))
        .start()
        .await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(10)).unwrap();
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.scan(&project, "src.zip", report::one_file()).await;
    let mut worker = app.worker("first");
    let mut events = acme.events(&task, 0).await;
    while events.event().await.expect("it is not over")["phase"] != "SCANNING" {}
    worker.terminate();
    assert!(worker.ends(PATIENCE).success());
    let waiting = acme.task(&task).await;
    assert_eq!(
        (&waiting["status"], &waiting["retries"]),
        (&json!("RETRYING"), &json!(0)),
        "{waiting:#}"
    );
    app.go();
    let _second = app.worker("second");
    let done = acme.ends_as(&task, "COMPLETED").await;
    let said: BTreeSet<String> = acme
        .all_events(&task)
        .await
        .iter()
        .map(|event| text(&event["message"]))
        .collect();
    assert!(said.iter().any(|words| words.contains("shut down")), "{said:?}");
    assert_eq!(done["attempt"], 2);
}
