//! What was acknowledged survives the death of the server and of Postgres, and running work goes on.

use std::fs;

use serde_json::{Value, json};

use crate::harness::process::kill_stranger;
use crate::harness::tool::{Script, Tools, WAIT_FOR_GO, install, semgrep_turn};
use crate::harness::wait::SOON;
use crate::harness::{Client, Plan, order, report, text, until};
use crate::whole_road::{expected_places, vulnshop};

async fn scanning(acme: &Client, task: &str) {
    let mut events = acme.events(task, 0).await;
    while events.event().await.expect("it is not over")["phase"] != "SCANNING" {}
}

async fn ended_once(acme: &Client, task: &str) {
    acme.ends_as(task, "COMPLETED").await;
    let events = acme.all_events(task).await;
    assert_eq!(
        events.iter().filter(|event| event["phase"] == "DONE").count(),
        1,
        "{events:#?}"
    );
}

#[tokio::test]
async fn a_scan_outlives_a_killed_postgres() {
    let _turn = semgrep_turn().await;
    let mut app = Plan::new().embedded().tools(Tools::Bundled).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let earlier = acme.import(&project, "report.json", report::semgrep(200)).await;
    acme.ends_as(&earlier, "COMPLETED").await;
    let before = acme.findings(&earlier).await;

    let task = acme.scan(&project, "vulnshop.zip", vulnshop()).await;
    scanning(&acme, &task).await;
    let postmaster = app.postmaster().expect("a postmaster");
    kill_stranger(postmaster);
    until("another postmaster", SOON, async || {
        (app.postmaster()? != postmaster).then_some(())
    })
    .await;
    app.is_ready().await;

    ended_once(&acme, &task).await;
    assert_eq!(acme.places(&task).await, expected_places());
    assert_eq!(acme.findings(&earlier).await, before);
    let after = acme.import(&project, "report.json", report::semgrep(7)).await;
    acme.ends_as(&after, "COMPLETED").await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_server() {
    let script = Script::new(WAIT_FOR_GO);
    let plan = Plan::new()
        .embedded()
        .with_short_leases()
        .tools(Tools::Script(script));
    let mut app = plan.start().await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(50)).unwrap();
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let finished = acme.import(&project, "report.json", report::semgrep(200)).await;
    acme.ends_as(&finished, "COMPLETED").await;
    let before = (acme.task(&finished).await, acme.findings(&finished).await);
    let upload = acme.upload(&project, "later.json", report::semgrep(9)).await;
    let running = acme
        .scan(&project, "src.zip", report::archive([("a.py", b"1".as_slice())]))
        .await;
    scanning(&acme, &running).await;

    app.server().kill();
    app.start_server();
    app.is_ready().await;

    assert_eq!(
        (acme.task(&finished).await, acme.findings(&finished).await),
        before
    );
    let bytes = acme.bytes(&text(&before.0["artifacts"][0]["id"])).await;
    assert_eq!(bytes, report::semgrep(200));
    let later = acme.mutate("importReport", order(&project, &upload)).await;
    let later = text(&later["task"]["id"]);
    acme.ends_as(&later, "COMPLETED").await;
    assert_eq!(acme.findings(&later).await.len(), 9);
    fs::write(install(app.folder()).join("go"), "").unwrap();
    ended_once(&acme, &running).await;
    assert_eq!(acme.findings(&running).await.len(), 50);
}

#[tokio::test]
async fn a_task_and_its_watcher_outlive_lost_connections() {
    let app = Plan::new()
        .tools(Tools::Script(Script::new(WAIT_FOR_GO)))
        .start()
        .await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(50)).unwrap();
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme
        .scan(&project, "src.zip", report::archive([("a.py", b"1".as_slice())]))
        .await;
    scanning(&acme, &task).await;
    app.database().cut_connections();
    fs::write(install(app.folder()).join("go"), "").unwrap();
    ended_once(&acme, &task).await;
    let events = acme.all_events(&task).await;
    let phases: Vec<&Value> = events.iter().map(|event| &event["phase"]).collect();
    assert_eq!(phases.last(), Some(&&json!("DONE")));
    assert_eq!(acme.findings(&task).await.len(), 50);
}

#[tokio::test]
async fn a_server_asked_to_end_takes_its_postgres_along_and_comes_back_with_everything() {
    let mut app = Plan::new().embedded().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.import(&project, "report.json", report::semgrep(20)).await;
    acme.ends_as(&task, "COMPLETED").await;
    app.server().terminate();
    assert!(app.server().ends(SOON).success());
    assert_eq!(app.postmaster(), None, "a clean end leaves no pid file");
    app.start_server();
    app.is_ready().await;
    assert_eq!(acme.findings(&task).await.len(), 20);
}
