//! What was acknowledged survives the death of the server and of Postgres, and running work goes on.

use std::fs;

use serde_json::Value;

use crate::harness::process::kill_stranger;
use crate::harness::stream::EventStream;
use crate::harness::tool::{Script, Tools, WAIT_FOR_GO, install, semgrep_turn};
use crate::harness::wait::SOON;
use crate::harness::{Client, Plan, Said, order, report, text, until};
use crate::whole_road::{expected_places, vulnshop};

/// A stream that breaks more often than this does not break by accident.
const RECONNECTS_MAX: usize = 20;

/// Somebody who watches a task and connects again when the line breaks.
struct Watcher {
    stream: EventStream,
    seen: Vec<Value>,
}

impl Watcher {
    /// Watches from the beginning, up to the moment in which the tool runs.
    async fn of_scanning(acme: &Client, task: &str) -> Self {
        let (mut stream, mut seen) = (acme.events(task, 0).await, Vec::new());
        loop {
            let event = stream.event().await.expect("it is not over");
            let is_scanning = event["phase"] == "SCANNING";
            seen.push(event);
            if is_scanning {
                return Self { stream, seen };
            }
        }
    }

    /// Watches to the end; the task ended well and once, and no event was missed or came twice.
    async fn sees_the_end(mut self, acme: &Client, task: &str) {
        let mut reconnects = 0;
        loop {
            match self.stream.next().await {
                Said::Next(mut payload) if payload.get("errors").is_none() => {
                    self.seen.push(payload["data"]["taskEvents"].take());
                }
                Said::Complete if self.seen.last().is_some_and(is_done) => break,
                other => {
                    reconnects += 1;
                    assert!(reconnects <= RECONNECTS_MAX, "{other:?}");
                    let last = self.seen.last().expect("it has begun")["seq"].as_i64();
                    self.stream = acme.events(task, last.unwrap()).await;
                }
            }
        }
        acme.ends_as(task, "COMPLETED").await;
        assert_eq!(self.seen, acme.all_events(task).await);
        let ends = self.seen.iter().filter(|event| is_done(event)).count();
        assert_eq!(ends, 1, "{:#?}", self.seen);
    }
}

fn is_done(event: &Value) -> bool {
    event["phase"] == "DONE"
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
    let watcher = Watcher::of_scanning(&acme, &task).await;
    let postmaster = app.postmaster().expect("a postmaster");
    kill_stranger(postmaster);
    until("another postmaster", SOON, async || {
        (app.postmaster()? != postmaster).then_some(())
    })
    .await;
    app.is_ready().await;

    watcher.sees_the_end(&acme, &task).await;
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
    let running = acme.scan(&project, "src.zip", report::one_file()).await;
    let watcher = Watcher::of_scanning(&acme, &running).await;

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
    app.go();
    watcher.sees_the_end(&acme, &running).await;
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
    let task = acme.scan(&project, "src.zip", report::one_file()).await;
    let watcher = Watcher::of_scanning(&acme, &task).await;
    app.database().cut_connections();
    app.go();
    watcher.sees_the_end(&acme, &task).await;
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
