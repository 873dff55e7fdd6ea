//! Following what happens in a project, live and from a cursor on.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tamiz_core::token::Token;
use tamiz_store::token::Role;

use super::{Door, PATIENCE};
use crate::api::test_tenant::findings;
use crate::flow::cancel_task::cancel_task;

/// What `field` of a project tells over one connection, up to `wanted` changes.
async fn changes(door: &Door, token: &Token, field: &str, variables: Value, wanted: usize) -> Vec<Value> {
    let query = format!("subscription($p: ID!, $a: String) {{ {field} }}");
    let request = Client::new()
        .post(door.url("/graphql"))
        .bearer_auth(token.reveal())
        .header("accept", "text/event-stream")
        .json(&json!({ "query": query, "variables": variables }));
    let mut answer = request.send().await.unwrap();
    let (mut text, mut seen) = (String::new(), Vec::new());
    while seen.len() < wanted {
        let Some(piece) = tokio::time::timeout(PATIENCE, answer.chunk())
            .await
            .unwrap()
            .unwrap()
        else {
            break;
        };
        text.push_str(std::str::from_utf8(&piece).unwrap());
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        seen = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_followed_from_any_cursor_on() {
    const TASKS: &str = "projectTasks(projectId: $p, after: $a) { cursor taskId status task { id } }";
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Owner).await;
    let project = door.platform.project(&caller).await;
    let watcher = changes(&door, &token, TASKS, json!({ "p": project }), 6);
    // whoever follows from now on is told of what happens from now on: so something happens until it is heard
    let work = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let mut made = Vec::new();
        loop {
            ticks.tick().await;
            let task = door.platform.task(&caller, project).await;
            cancel_task(&door.platform.state.store, &caller, task)
                .await
                .unwrap();
            made.push(task);
            assert!(made.len() < 1_000, "nobody heard");
        }
    };
    let seen = tokio::select! {
        seen = watcher => seen,
        () = work => unreachable!("it has no end"),
    };
    let told = |change: &Value| change["data"]["projectTasks"].clone();
    for pair in seen.windows(2) {
        let (before, change) = (told(&pair[0]), told(&pair[1]));
        assert_eq!(change["taskId"], change["task"]["id"], "{seen:?}");
        let is_same = before["taskId"] == change["taskId"];
        match change["status"].as_str() {
            Some("QUEUED") => assert!(!is_same && before["status"] == "CANCELLED", "{seen:?}"),
            Some("CANCELLED") => assert!(is_same && before["status"] == "QUEUED", "{seen:?}"),
            _ => panic!("{seen:?}"),
        }
    }
    let after = json!({ "p": project, "a": seen[0]["data"]["projectTasks"]["cursor"] });
    let rest = changes(&door, &token, TASKS, after.clone(), 5).await;
    let data = |change: &Value| change["data"].clone();
    assert_eq!(
        rest.iter().map(data).collect::<Vec<_>>(),
        seen[1..].iter().map(data).collect::<Vec<_>>()
    );

    let (foreign, foreign_caller) = door.tenant("globex", Role::Owner).await;
    let refused = changes(&door, &foreign, TASKS, after, 1).await;
    assert_eq!(
        refused[0]["errors"][0]["extensions"]["code"], "NOT_FOUND",
        "{refused:?}"
    );
    let own = door.platform.project(&foreign_caller).await;
    let of_another = json!({ "p": own, "a": seen[0]["data"]["projectTasks"]["cursor"] });
    let refused = changes(&door, &foreign, TASKS, of_another, 1).await;
    assert_eq!(
        refused[0]["errors"][0]["extensions"]["code"], "BAD_CURSOR",
        "{refused:?}"
    );
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_tells_what_it_changed_of_a_projects_alerts() {
    const ALERTS: &str =
        "projectAlerts(projectId: $p, after: $a) { cursor task { id } changes { opened fixed dismissed } }";
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Owner).await;
    let project = door.platform.project(&caller).await;
    let watcher = changes(&door, &token, ALERTS, json!({ "p": project }), 1);
    let work = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for round in 0..1_000 {
            ticks.tick().await;
            let task = door.platform.task(&caller, project).await;
            let told = findings(7).into_iter().map(|mut finding| {
                // each an alert of its own, that no round before has opened
                finding.rule_id = format!("{} {} {round}", finding.rule_id, finding.title);
                finding
            });
            let platform = &door.platform;
            platform
                .merge_findings(&caller, project, task, told.collect())
                .await;
        }
    };
    let seen = tokio::select! {
        seen = watcher => seen,
        () = work => panic!("nobody heard"),
    };
    let change = &seen[0]["data"]["projectAlerts"];
    assert!(
        change["task"]["id"].as_str().unwrap().starts_with("Task_"),
        "{seen:?}"
    );
    let opened = change["changes"].as_array().unwrap().iter();
    assert_eq!(opened.filter_map(|row| row["opened"].as_i64()).sum::<i64>(), 7);
    door.close().await;
}
