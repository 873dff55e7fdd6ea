//! Requests that are sent again: one task, whatever happened to the answer.

use serde_json::json;

use super::described::{Answer, Described};
use super::{REPORTS, RESULTS, SCANS, form, shop};
use crate::harness::{App, Client, Plan, text};

const KEY: &str = "idempotency-key";

async fn hand_in(api: &Described, client: &Client, query: &str, key: &str, bytes: Vec<u8>) -> Answer {
    let path = format!("/v1/reports?project=shop&scanType=codeaudit&wait=60{query}");
    api.ask(client, REPORTS, &path, |request| {
        request.header(KEY, key).body(bytes)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_with_the_same_key_is_imported_once() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    acme.project("shop").await;
    let first = hand_in(&api, &acme, "", "run 7", shop(0)).await.body;
    assert_eq!(first["existing"], false);
    let again = hand_in(&api, &acme, "&failOn=high", "run 7", shop(0)).await.body;
    assert_eq!((&again["existing"], &again["id"]), (&json!(true), &first["id"]));
    assert_eq!(again["gate"]["passed"], false, "the verdict is of who asks");
    assert_eq!(again["difference"], first["difference"]);
    for (query, bytes) in [
        ("", shop(1)),
        ("&branch=next", shop(0)),
        ("&commit=2", shop(0)),
        ("&priority=7", shop(0)),
    ] {
        let other = hand_in(&api, &acme, query, "run 7", bytes).await;
        assert_eq!(
            (other.status.as_u16(), other.code()),
            (422, "IDEMPOTENCY_KEY_REUSED"),
            "{query}"
        );
    }
    let next = hand_in(&api, &acme, "", "run 8", shop(0)).await.body;
    assert_ne!(next["id"], first["id"]);
    assert_eq!(app.sql("select count(*) from tenant.task"), "2");
    assert_eq!(app.sql("select count(*) from tenant.codeaudit_upload"), "2");

    let other = app.tenant("other");
    other.project("shop").await;
    let theirs = hand_in(&api, &other, "", "run 7", shop(0)).await.body;
    assert_eq!(theirs["existing"], false, "a key is one tenant's");
    assert_ne!(theirs["id"], first["id"]);
    let bad = hand_in(&api, &acme, "", &"x".repeat(256), shop(0)).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_sent_many_times_at_once_is_imported_once() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    acme.project("shop").await;
    let sent = (0..6).map(|_| hand_in(&api, &acme, "", "at once", shop(0)));
    let told = futures_util::future::join_all(sent).await;
    let new = told
        .iter()
        .filter(|answer| answer.body["existing"] == false)
        .count();
    assert_eq!(new, 1);
    assert!(told.iter().all(|answer| answer.body["id"] == told[0].body["id"]));
    assert_eq!(app.sql("select count(*) from tenant.task"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_asked_for_again_is_the_same_and_another_is_refused() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let project = acme.project("shop").await;
    let report = acme.upload(&project, "report", shop(0)).await;
    let other = acme.upload(&project, "report", shop(1)).await;
    let start = async |kind: &str, body: serde_json::Value| {
        let path = format!("/scans/{kind}");
        api.ask(&acme, SCANS, &path, |request| {
            request.header(KEY, "k").json(&body)
        })
        .await
    };
    let wish = json!({ "project": "shop", "reportId": report });
    let first = start("codeaudit", wish.clone()).await;
    assert_eq!(
        (first.status.as_u16(), &first.body["existing"]),
        (202, &json!(false))
    );
    let again = start(
        "codeaudit",
        json!({ "project": project, "reportId": format!("Upload_{report}") }),
    )
    .await;
    assert_eq!(
        (&again.body["existing"], &again.body["id"]),
        (&json!(true), &first.body["id"])
    );
    for (kind, body) in [
        ("codeaudit", json!({ "project": "shop", "reportId": other })),
        (
            "codeaudit",
            json!({ "project": "shop", "reportId": report, "branch": "next" }),
        ),
        (
            "codeaudit",
            json!({ "project": "shop", "reportId": report, "timeoutSeconds": 9 }),
        ),
        ("web", wish),
    ] {
        let refused = start(kind, body.clone()).await;
        assert_eq!(refused.code(), "IDEMPOTENCY_KEY_REUSED", "{kind} {body}");
    }
    acme.mutate("cancelTask", json!({ "taskId": first.body["id"] }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_a_task_goes_where_the_task_belongs_and_only_once() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    acme.project("shop").await;
    let path = "/v1/reports?project=shop&scanType=codeaudit&branch=main&category=server&wait=60";
    let task = api
        .ask(&acme, REPORTS, path, |request| request.body(shop(0)))
        .await
        .body;
    let id = text(&task["id"]);
    let hand_in = async |bytes: Vec<u8>| {
        let answer = api
            .ask(&acme, RESULTS, "/queue/result", |request| {
                let task = format!("Task_{id}");
                form(request, &[("file", &bytes), ("task", task.as_bytes())])
            })
            .await;
        assert_eq!(answer.status, 202, "{:#}", answer.body);
        answer.body
    };
    let first = hand_in(shop(1)).await;
    assert_eq!(
        (&first["resultOf"], &first["existing"]),
        (&json!(id), &json!(false))
    );
    assert_eq!(first["scope"], task["scope"]);
    assert_eq!(hand_in(shop(1)).await["id"], first["id"], "the same bytes again");
    let told = acme.ended(&text(&first["id"])).await;
    assert_eq!(told["status"], "COMPLETED");
    let address = text(&first["links"]["self"]);
    let told = api
        .ask(&acme, super::TASK, &address, |request| request)
        .await
        .body;
    assert_eq!(told["difference"]["fixed"], 1);
    let other = hand_in(shop(2)).await;
    assert_ne!(other["id"], first["id"]);
    acme.ended(&text(&other["id"])).await;
}
