//! Tasks that are cancelled, sent back, given up, ordered twice, or ordered by priority.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::process::running_with;
use crate::harness::tool::{WAIT_FOR_GO, install, stand_in};
use crate::harness::wait::SOON;
use crate::harness::{App, Plan, Workers, order, report, text, until, with_both_kinds_of_workers};

/// From the wish to the end of the tool's last process.
const CANCEL_MAX: Duration = Duration::from_secs(2);

with_both_kinds_of_workers! {
    a_waiting_task_is_cancelled_at_once_and_may_be_sent_back,
    a_running_task_is_cancelled_within_two_seconds_with_its_tool,
    a_cancelled_import_stores_nothing,
    a_failed_task_that_is_sent_back_replaces_what_it_left,
    a_task_that_keeps_dying_becomes_a_dead_letter_and_can_be_revived,
    a_task_that_matters_more_overtakes_an_older_one,
}

async fn a_waiting_task_is_cancelled_at_once_and_may_be_sent_back(workers: Workers) {
    let (app, acme, project) = stand_in(Plan::new().workers(workers).without_worker(), WAIT_FOR_GO).await;
    app.go();
    let task = acme.scan(&project, "src.zip", report::one_file()).await;
    let cancelled = acme.mutate("cancelTask", json!({ "taskId": task })).await;
    assert_eq!(cancelled["task"]["status"], "CANCELLED", "{cancelled}");
    let again = acme.mutate("cancelTask", json!({ "taskId": task })).await;
    assert_eq!(
        again["errors"],
        json!([]),
        "stopping what was stopped is no error"
    );
    let events = acme.all_events(&task).await;
    assert_eq!(events.last().unwrap()["status"], "CANCELLED");

    let back = acme.mutate("retryTask", json!({ "taskId": task })).await;
    assert_eq!(back["task"]["status"], "QUEUED", "{back}");
    let _worker = app.worker("worker");
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(done["findings"]["totalCount"], 4);
    for (mutation, wrong) in [
        ("retryTask", "only a failed"),
        ("cancelTask", "only a task that waits"),
    ] {
        let refused = acme.mutate(mutation, json!({ "taskId": task })).await;
        assert_eq!(refused["errors"][0]["code"], "WRONG_STATE", "{refused}");
        assert!(
            text(&refused["errors"][0]["message"]).contains(wrong),
            "{refused}"
        );
    }
}

async fn a_running_task_is_cancelled_within_two_seconds_with_its_tool(workers: Workers) {
    let marker = format!("87{}", uuid::Uuid::now_v7().as_u128() % 1_000_000_000);
    let (app, acme, project) = stand_in(
        Plan::new().workers(workers),
        &format!("setsid sleep {marker} & exec sleep {marker}"),
    )
    .await;
    let task = acme.scan(&project, "src.zip", report::one_file()).await;
    let asleep = format!("sleep {marker}");
    until("both processes of the tool", SOON, async || {
        (running_with(&asleep)
            .iter()
            .filter(|(_, line)| line.starts_with("sleep"))
            .count()
            == 2)
            .then_some(())
    })
    .await;
    let asked = Instant::now();
    let answer = acme.mutate("cancelTask", json!({ "taskId": task })).await;
    assert_eq!(answer["errors"], json!([]));
    until("the end of the tool", SOON, async || {
        running_with(&asleep).is_empty().then_some(())
    })
    .await;
    let took = asked.elapsed();
    assert!(took < CANCEL_MAX, "{took:?}");
    let cancelled = acme.ends_as(&task, "CANCELLED").await;
    assert_eq!(
        cancelled["toolExecutions"][0]["endedBy"], "cancelled",
        "{cancelled:#}"
    );
    assert_eq!(cancelled["findings"]["totalCount"], 0);
    drop(app);
}

async fn a_cancelled_import_stores_nothing(workers: Workers) {
    let (_app, acme, project) = stand_in(Plan::new().workers(workers), WAIT_FOR_GO).await;
    let task = acme
        .import(&project, "report.json", report::semgrep(60_000))
        .await;
    let mut events = acme.events(&task, 0).await;
    while events.event().await.expect("it is not over")["phase"] != "CONVERTING" {}
    acme.mutate("cancelTask", json!({ "taskId": task })).await;
    let ended = acme.ended(&task).await;
    // a cancel that comes while the last transaction runs is too late, and says so
    match ended["status"].as_str().unwrap() {
        "CANCELLED" => assert_eq!(ended["findings"]["totalCount"], 0),
        "COMPLETED" => assert_eq!(ended["scanResult"]["findings"], 60_000),
        other => panic!("{other}"),
    }
    let events = acme.all_events(&task).await;
    assert_eq!(events.iter().filter(|event| event["phase"] == "DONE").count(), 1);
}

async fn a_failed_task_that_is_sent_back_replaces_what_it_left(workers: Workers) {
    let (app, acme, project) = stand_in(
        Plan::new().workers(workers),
        "cat \"$install/report.json\" > /out/report",
    )
    .await;
    let full = report::semgrep(20);
    fs::write(install(app.folder()).join("report.json"), &full[..full.len() / 2]).unwrap();
    let task = acme.scan(&project, "src.zip", report::one_file()).await;
    let failed = acme.ends_as(&task, "FAILED").await;
    assert_eq!(failed["error"]["code"], "REPORT_TRUNCATED", "{failed:#}");
    let readable = failed["findings"]["totalCount"].as_u64().unwrap();
    assert!(0 < readable && readable < 20, "{readable}");

    fs::write(install(app.folder()).join("report.json"), full).unwrap();
    acme.mutate("retryTask", json!({ "taskId": task })).await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert!(done["error"].is_null(), "{done:#}");
    assert_eq!(
        (&done["findings"]["totalCount"], &done["attempt"]),
        (&json!(20), &json!(2))
    );
    assert_eq!(done["scanResult"]["findings"], 20);
    assert_eq!(
        done["toolExecutions"].as_array().unwrap().len(),
        2,
        "both runs stay on record"
    );
}

async fn a_task_that_keeps_dying_becomes_a_dead_letter_and_can_be_revived(workers: Workers) {
    let body = "[ -e \"$install/go\" ] || kill -SEGV $$\ncat \"$install/report.json\" > /out/report";
    let (app, acme, project) = stand_in(Plan::new().workers(workers).set("max_attempts", 2), body).await;
    let task = acme.scan(&project, "src.zip", report::one_file()).await;
    let dead = acme.ends_as(&task, "DEAD_LETTER").await;
    assert_eq!(
        (&dead["error"]["code"], &dead["attempt"]),
        (&json!("ATTEMPTS_EXHAUSTED"), &json!(2))
    );
    let events = acme.all_events(&task).await;
    assert!(
        events.iter().any(|event| event["status"] == "RETRYING"),
        "{events:#?}"
    );
    let runs = dead["toolExecutions"].as_array().unwrap();
    assert!(
        runs.iter()
            .all(|run| run["endedBy"] == "killed" && run["exitCode"].is_null()),
        "{runs:#?}"
    );

    app.go();
    acme.mutate("retryTask", json!({ "taskId": task })).await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(
        (&done["attempt"], &done["retries"]),
        (&json!(3), &json!(0)),
        "{done:#}"
    );
    assert_eq!(done["findings"]["totalCount"], 4);
}

#[tokio::test]
async fn an_order_with_its_own_id_is_carried_out_once() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let upload = acme.upload(&project, "report.json", report::semgrep(3)).await;
    let mut input = order(&project, &upload);
    let id = uuid::Uuid::now_v7().to_string();
    input["id"] = json!(id);
    let orders = (0..5).map(|_| acme.mutate("importReport", input.clone()));
    for answer in futures_util::future::join_all(orders).await {
        assert_eq!(answer["errors"], json!([]));
        assert_eq!(answer["task"]["id"], json!(format!("Task_{id}")));
    }
    acme.ends_as(&id, "COMPLETED").await;
    acme.mutate("importReport", input.clone()).await;
    let done = acme.ends_as(&id, "COMPLETED").await;
    assert_eq!(
        (&done["attempt"], &done["findings"]["totalCount"]),
        (&json!(1), &json!(3))
    );

    let other = acme.upload(&project, "report.json", report::semgrep(4)).await;
    input["uploadId"] = json!(other);
    let refused = acme.mutate("importReport", input).await;
    assert_eq!(refused["errors"][0]["code"], "ALREADY_EXISTS", "{refused}");
}

async fn a_task_that_matters_more_overtakes_an_older_one(workers: Workers) {
    let app = Plan::new()
        .workers(workers)
        .without_worker()
        .set("worker_slots", 1)
        .start()
        .await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let mut tasks = Vec::new();
    for priority in [0, 5, 100, 5] {
        let upload = acme.upload(&project, "report.json", report::semgrep(1)).await;
        let mut input = order(&project, &upload);
        input["priority"] = json!(priority);
        let id = text(&acme.mutate("importReport", input).await["task"]["id"]);
        tasks.push(id.trim_start_matches("Task_").to_owned());
    }
    let _worker = app.worker("worker");
    for task in &tasks {
        acme.ends_as(task, "COMPLETED").await;
    }
    let begun = app.sql("select id from tenant.task order by started_at");
    let expected = [&tasks[2], &tasks[1], &tasks[3], &tasks[0]]
        .map(String::as_str)
        .join("\n");
    assert_eq!(begun, expected);
}

#[tokio::test]
async fn a_burst_of_orders_is_taken_whole() {
    // nine plugin calls at once: one for the slot of a worker, the rest for orders
    let app = Plan::new().without_worker().set("worker_slots", 1).start().await;
    let mut orders = Vec::new();
    for tenant in ["acme", "globex", "initech", "umbrella", "hooli", "stark"] {
        let client = app.tenant(tenant);
        let project = client.project("shop").await;
        let upload = client.upload(&project, "report.json", report::semgrep(1)).await;
        for _ in 0..4 {
            let (client, input) = (client.clone(), order(&project, &upload));
            orders.push(async move {
                let made = client.mutate("importReport", input).await;
                (client, made)
            });
        }
    }
    let made = futures_util::future::join_all(orders).await;
    let _worker = app.worker("worker");
    for (client, made) in made {
        assert_eq!(made["errors"], json!([]), "{made}");
        client.ends_as(&text(&made["task"]["id"]), "COMPLETED").await;
    }
}
