//! Watching a task: from the start, in the middle, after its end, and after a lost line.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::harness::client::EVENTS;
use crate::harness::tool::{Script, Tools, WAIT_FOR_GO, install};
use crate::harness::{App, Client, Plan, Said, report};

/// A task whose tool waits until the test says go.
async fn waiting_task() -> (App, Client, String) {
    let app = Plan::new()
        .tools(Tools::Script(Script::new(WAIT_FOR_GO)))
        .start()
        .await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(300)).unwrap();
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.scan(&project, "src.zip", report::one_file()).await;
    (app, acme, task)
}

fn sequence(events: &[Value]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event["seq"].as_i64().unwrap())
        .collect()
}

fn last_of(events: &[Value]) -> i64 {
    events.last().map_or(0, |event| event["seq"].as_i64().unwrap())
}

/// Up to the event that says that the tool runs.
fn is_scanning(event: &Value) -> bool {
    event["phase"] == "SCANNING"
}

#[tokio::test]
async fn a_websocket_that_reconnects_misses_nothing_and_sees_nothing_twice() {
    let (app, acme, task) = waiting_task().await;
    let mut seen = Vec::new();
    let mut socket = acme.socket().await;
    socket.follow(&task, 0).await;
    while !seen.last().is_some_and(is_scanning) {
        seen.push(socket.event().await.expect("it is not over"));
    }
    drop(socket);
    app.go();
    // a line that breaks after every single event
    while !seen.last().is_some_and(|event| event["phase"] == "DONE") {
        let mut socket = acme.socket().await;
        socket.follow(&task, last_of(&seen)).await;
        seen.push(socket.event().await.expect("it is not over"));
    }
    let all = acme.all_events(&task).await;
    assert_eq!(seen, all);
    assert_eq!(sequence(&all), (1..=last_of(&all)).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_stream_that_reconnects_misses_nothing_and_sees_nothing_twice() {
    let (app, acme, task) = waiting_task().await;
    let mut seen = Vec::new();
    let mut stream = acme.events(&task, 0).await;
    while !seen.last().is_some_and(is_scanning) {
        seen.push(stream.event().await.expect("it is not over"));
    }
    drop(stream);
    app.go();
    while !seen.last().is_some_and(|event| event["phase"] == "DONE") {
        let mut stream = acme.events(&task, last_of(&seen)).await;
        seen.push(stream.event().await.expect("it is not over"));
    }
    assert_eq!(seen, acme.all_events(&task).await);
}

#[tokio::test]
async fn every_subscription_of_one_socket_hears_everything() {
    let (app, acme, task) = waiting_task().await;
    let mut socket = acme.socket().await;
    let mut heard: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for name in ["first", "second", "third"] {
        socket
            .subscribe(name, EVENTS, json!({ "task": task, "after": 0 }))
            .await;
        heard.insert(name, Vec::new());
    }
    app.go();
    let mut open = heard.len();
    while open > 0 {
        match socket.next_of_any().await {
            (id, Said::Next(mut payload)) => {
                heard
                    .get_mut(id.as_str())
                    .unwrap()
                    .push(payload["data"]["taskEvents"].take());
            }
            (_, Said::Complete) => open -= 1,
            (id, other) => panic!("{id}: {other:?}"),
        }
    }
    let all = acme.all_events(&task).await;
    for (name, events) in heard {
        assert_eq!(events, all, "{name}");
    }
}

/// The whole story over a socket of its own.
async fn replay(acme: &Client, task: &str) -> Vec<Value> {
    let mut socket = acme.socket().await;
    socket.follow(task, 0).await;
    let mut events = Vec::new();
    while let Some(event) = socket.event().await {
        events.push(event);
    }
    events
}

#[tokio::test]
async fn a_finished_task_is_replayed_and_completed() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.import(&project, "report.json", report::semgrep(3)).await;
    let live = acme.all_events(&task).await;
    let last = last_of(&live);
    assert_eq!(replay(&acme, &task).await, live);
    assert_eq!(acme.events(&task, last).await.rest().await, Vec::<Value>::new());
    assert_eq!(
        acme.events(&task, last - 1).await.rest().await,
        live[live.len() - 1..]
    );

    for after in [last + 1, -1] {
        let Said::Next(answer) = acme.events(&task, after).await.next().await else {
            panic!("an answer")
        };
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "INVALID_INPUT",
            "{answer}"
        );
    }
}
