//! Webhooks, from the change to the receiver: what is told, signed by the standard's own verification, and how often.
//!
//! Pauses between tries are minutes; the tests let what waits fall due. Not here: that a foreign tenant sees nothing
//! (`isolation`).

mod receiver;

use std::net::Ipv4Addr;

use receiver::{Manner, Receiver};
use serde_json::{Value, json};

use crate::calling_targets::local::Names;
use crate::harness::wait::SOON;
use crate::harness::{App, Client, Plan, report, text, until};

const ALL: [&str; 6] = [
    "ALERT_OPENED",
    "ALERT_FIXED",
    "ALERT_REOPENED",
    "ALERT_DISMISSED",
    "ACCEPTANCE_EXPIRING",
    "TASK_FINISHED",
];
const LOG: &str = "query($id: ID!) { webhookEndpoint(id: $id) { disabledReason failingSince deliveries {
    nodes { messageId event state attemptCount nextAttemptAt
      attempts { number statusCode error answer durationMs } } } } }";

async fn app() -> (App, Client) {
    let plan = Plan::new().set("webhook_networks_allowed", "acme=127.0.0.1/32");
    let app = plan.start().await;
    let acme = admin(&app, "acme");
    (app, acme)
}

/// An admin of a new tenant.
fn admin(app: &App, tenant: &str) -> Client {
    app.tenant(tenant);
    app.token(tenant, &["--role", "admin"])
}

/// An endpoint at `url`: its id and secret.
async fn endpoint(acme: &Client, url: &str, events: &[&str]) -> (String, String) {
    let input = json!({ "url": url, "events": events });
    let made = acme
        .mutate_for(
            "createWebhookEndpoint",
            "CreateWebhookEndpointInput",
            input,
            "secret endpoint { id }",
        )
        .await;
    assert_eq!(made["errors"], json!([]), "{url}");
    (text(&made["endpoint"]["id"]), text(&made["secret"]))
}

async fn log(acme: &Client, endpoint: &str) -> Value {
    let data = acme.data(LOG, json!({ "id": endpoint })).await;
    data["webhookEndpoint"].clone()
}

/// Waits until the newest delivery stands there.
async fn newest_is(acme: &Client, endpoint: &str, state: &str) -> Value {
    until("a delivery's state", SOON, async || {
        let newest = log(acme, endpoint).await["deliveries"]["nodes"][0].clone();
        (newest["state"] == state).then_some(newest)
    })
    .await
}

async fn about_endpoint(acme: &Client, mutation: &str, endpoint: &str, selection: &str) -> Value {
    let input = json!({ "endpointId": endpoint });
    acme.mutate_for(mutation, "WebhookEndpointIdInput", input, selection)
        .await
}

/// Why no endpoint is made there.
async fn refusal(client: &Client, url: &str) -> String {
    let input = json!({ "url": url, "events": ["ALERT_OPENED"] });
    let made = client
        .mutate_for(
            "createWebhookEndpoint",
            "CreateWebhookEndpointInput",
            input,
            "secret",
        )
        .await;
    assert_eq!(made["secret"], Value::Null, "{url}");
    assert_eq!(made["errors"][0]["path"], json!(["input", "url"]), "{made}");
    format!(
        "{}: {}",
        text(&made["errors"][0]["code"]),
        text(&made["errors"][0]["message"])
    )
}

/// Lets time pass for what waits.
fn hurry(app: &App) {
    app.sql("update control.webhook_due set due_at = now(), leased_until = null");
}

#[tokio::test]
async fn a_scan_tells_what_it_opened_and_fixed_and_a_person_what_they_dismissed() {
    let (app, acme) = app().await;
    let receiver = Receiver::start(&[]).await;
    let (id, secret) = endpoint(&acme, &receiver.url(), &ALL).await;
    let project = acme.project("shop").await;
    let task = acme.import(&project, "one.json", report::semgrep(103)).await;
    acme.ends_as(&task, "COMPLETED").await;
    // messages have the UUID alone
    let (project, task) = (
        project.trim_start_matches("Project_"),
        task.trim_start_matches("Task_"),
    );

    let opened = receiver.hears("alert.opened").await;
    assert!(opened.is_signed_with(&secret));
    assert!(!opened.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let said = opened.json();
    let data = &said["data"];
    assert_eq!(data["count"], 103, "{said:#}");
    assert_eq!(data["project"], json!({ "id": project, "name": "shop" }));
    assert_eq!(data["task"], json!({ "id": task, "scanType": "codeaudit" }));
    assert_eq!(data["alerts"].as_array().unwrap().len(), 100);
    assert_eq!(
        data["rest"],
        format!("/v1/projects/{project}/alerts.csv?state=open")
    );
    let first = &data["alerts"][0];
    assert_eq!(
        (&first["state"], &first["tool"]),
        (&json!("open"), &json!("semgrep"))
    );
    for part in ["id", "title", "rule", "severity", "file"] {
        assert!(first[part].is_string(), "{part}: {first:#}");
    }
    let finished = receiver.hears("task.finished").await.json();
    assert_eq!(finished["data"]["task"]["status"], "completed", "{finished:#}");
    assert_eq!(
        finished["data"]["task"]["result"]["findings"], 103,
        "{finished:#}"
    );

    let input =
        json!({ "alertIds": [first["id"]], "reason": "ACCEPTED_RISK", "until": "2026-12-31T00:00:00Z" });
    acme.mutate_for("dismissAlerts", "DismissAlertsInput", input, "changed")
        .await;
    let dismissed = receiver.hears("alert.dismissed").await.json();
    assert_eq!(dismissed["data"]["count"], 1);
    assert_eq!(dismissed["data"]["actor"], "a-token", "{dismissed:#}");
    let alert = &dismissed["data"]["alerts"][0];
    assert_eq!(
        (&alert["id"], &alert["dismissal"]["reason"]),
        (&first["id"], &json!("accepted-risk"))
    );

    let task = acme.import(project, "two.json", report::semgrep(101)).await;
    acme.ends_as(&task, "COMPLETED").await;
    let fixed = receiver.hears("alert.fixed").await.json();
    assert_eq!(fixed["data"]["count"], 2, "{fixed:#}");
    let (calls, log) = (receiver.has(5).await, log(&acme, &id).await);
    assert_eq!(calls.len(), 5, "one message per kind and transaction");
    assert_eq!(log["deliveries"]["nodes"].as_array().unwrap().len(), 5);
    assert!(!app.log().contains(&secret[6..]), "a secret in the log");
}

#[tokio::test]
async fn what_fails_twice_and_then_works_has_one_id_and_three_attempts() {
    let (app, acme) = app().await;
    let long = "x".repeat(10_000);
    let manners = [
        Manner::Says(500, "out of order".to_owned()),
        Manner::Says(503, long),
    ];
    let receiver = Receiver::start(&manners).await;
    let (id, secret) = endpoint(&acme, &receiver.url(), &["TASK_FINISHED"]).await;
    about_endpoint(&acme, "sendTestWebhook", &id, "messageId").await;
    for tries in 1..=2 {
        until("a failed try", SOON, async || {
            let newest = log(&acme, &id).await["deliveries"]["nodes"][0].clone();
            (newest["attemptCount"] == tries && newest["state"] == "WAITING").then_some(())
        })
        .await;
        hurry(&app);
    }
    let delivered = newest_is(&acme, &id, "DELIVERED").await;
    let calls = receiver.has(3).await;
    assert!(
        calls
            .iter()
            .all(|call| call.id() == text(&delivered["messageId"]))
    );
    assert!(
        calls
            .iter()
            .all(|call| call.is_signed_with(&secret) && call.body == calls[0].body)
    );
    assert_eq!(calls[0].json()["type"], "webhook.test");
    let attempts = delivered["attempts"].as_array().unwrap();
    let codes: Vec<&Value> = attempts.iter().map(|attempt| &attempt["statusCode"]).collect();
    assert_eq!(codes, [500, 503, 204], "{delivered:#}");
    assert_eq!(attempts[0]["answer"], "out of order");
    assert_eq!(text(&attempts[1]["answer"]).len(), 4_096);
    assert_eq!(log(&acme, &id).await["failingSince"], Value::Null);
}

#[tokio::test]
async fn what_a_killed_server_was_sending_is_sent_by_the_next_one() {
    let (mut app, acme) = app().await;
    let receiver = Receiver::start(&[Manner::Hangs, Manner::Hangs]).await;
    endpoint(&acme, &receiver.url(), &["ALERT_OPENED", "TASK_FINISHED"]).await;
    let project = acme.project("shop").await;
    let task = acme.import(&project, "one.json", report::semgrep(3)).await;
    acme.ends_as(&task, "COMPLETED").await;
    let before = receiver.has(2).await;
    app.server().kill();
    app.start_server();
    app.is_ready().await;
    // the dead one had taken them for a minute
    hurry(&app);
    let after = receiver.has(4).await;
    for call in before {
        let again = after[2..]
            .iter()
            .find(|again| again.id() == call.id())
            .expect("the same message");
        assert_eq!(again.body, call.body);
    }
    until("all are noted", SOON, async || {
        (app.sql("select count(*) from control.webhook_due") == "0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_public_is_not_called_at_first_nor_later() {
    let names = Names::serve(Ipv4Addr::LOCALHOST).await;
    let plan = Plan::new()
        .set("webhook_networks_allowed", "acme=127.0.0.1/32")
        .set("target_resolvers", names.address);
    let app = plan.start().await;
    let (acme, globex) = (admin(&app, "acme"), admin(&app, "globex"));
    let elsewhere = Receiver::start(&[]).await;
    let receiver = Receiver::start(&[Manner::SendsTo(elsewhere.url())]).await;
    let by_name = format!("http://hooks.example:{}/", receiver.port());
    for (client, url, why) in [
        (
            &globex,
            receiver.url().as_str(),
            "127.0.0.1 is a loopback address",
        ),
        (&globex, &by_name, "127.0.0.1 is a loopback address"),
        (&acme, "https://10.0.0.1/", "10.0.0.1 is a private address"),
        (&acme, "https://169.254.169.254/", "metadata"),
        (&acme, "https://[::1]/", "loopback"),
    ] {
        let refused = refusal(client, url).await;
        assert!(
            refused.starts_with("TARGET_FORBIDDEN") && refused.contains(why),
            "{url}: {refused}"
        );
    }
    assert!(refusal(&acme, "http://8.8.8.8/").await.contains("use https"));

    // a redirect is an answer, and nobody goes there
    let (id, _) = endpoint(&acme, &by_name, &["ALERT_OPENED"]).await;
    about_endpoint(&acme, "sendTestWebhook", &id, "messageId").await;
    receiver.has(1).await;
    let first = until("a failed try", SOON, async || {
        let newest = log(&acme, &id).await["deliveries"]["nodes"][0].clone();
        (newest["attemptCount"] == 1).then_some(newest)
    })
    .await;
    assert!(
        text(&first["attempts"][0]["error"]).contains("redirect"),
        "{first:#}"
    );
    // the name leads somewhere else by now
    names.move_to(Ipv4Addr::new(10, 0, 0, 1));
    hurry(&app);
    let second = until("another failed try", SOON, async || {
        let newest = log(&acme, &id).await["deliveries"]["nodes"][0].clone();
        (newest["attemptCount"] == 2).then_some(newest)
    })
    .await;
    let error = text(&second["attempts"][1]["error"]);
    assert!(error.contains("10.0.0.1 is a private address"), "{error}");
    assert_eq!((receiver.calls().len(), elsewhere.calls().len()), (1, 0));
    about_endpoint(&acme, "deleteWebhookEndpoint", &id, "endpointId").await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_what_it_missed_is_replayed() {
    let (app, acme) = app().await;
    let receiver = Receiver::start(&[Manner::Says(410, String::new())]).await;
    let (id, old) = endpoint(&acme, &receiver.url(), &["ALERT_OPENED"]).await;
    about_endpoint(&acme, "sendTestWebhook", &id, "messageId").await;
    let failed = newest_is(&acme, &id, "FAILED").await;
    assert_eq!(log(&acme, &id).await["disabledReason"], "GONE");
    let refused = about_endpoint(&acme, "sendTestWebhook", &id, "messageId").await;
    assert_eq!(refused["errors"][0]["code"], "WRONG_STATE");

    let input = json!({ "endpointId": id, "url": receiver.url(), "events": ["ALERT_FIXED"] });
    let updated = acme
        .mutate_for(
            "updateWebhookEndpoint",
            "UpdateWebhookEndpointInput",
            input,
            "endpoint { disabledAt events }",
        )
        .await;
    assert_eq!(
        updated["endpoint"],
        json!({ "disabledAt": null, "events": ["ALERT_FIXED"] })
    );
    let rotated = about_endpoint(
        &acme,
        "rotateWebhookSecret",
        &id,
        "secret endpoint { oldSecretUntil }",
    )
    .await;
    let new = text(&rotated["secret"]);
    assert!(rotated["endpoint"]["oldSecretUntil"].is_string());
    let since = json!({ "endpointId": id, "since": "2026-01-01T00:00:00Z" });
    let replayed = acme
        .mutate_for(
            "replayFailedWebhooks",
            "ReplayFailedWebhooksInput",
            since,
            "count",
        )
        .await;
    assert_eq!(replayed["count"], 1);
    let calls = receiver.has(2).await;
    assert_eq!((calls[0].id(), &calls[0].body), (calls[1].id(), &calls[1].body));
    assert!(calls[1].is_signed_with(&old) && calls[1].is_signed_with(&new) && old != new);
    newest_is(&acme, &id, "DELIVERED").await;

    // what came through is sent again, too, when somebody asks
    receiver.next(Manner::Says(200, "again".to_owned()));
    let one = json!({ "endpointId": id, "messageId": failed["messageId"] });
    acme.mutate_for(
        "replayWebhookMessage",
        "ReplayWebhookMessageInput",
        one,
        "messageId",
    )
    .await;
    receiver.has(3).await;
    let viewer = app.token("acme", &["--role", "viewer"]);
    let answer = viewer.answer("{ webhookEndpoints { url } }", Value::Null).await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "NOT_ALLOWED",
        "{answer:#}"
    );
    newest_is(&acme, &id, "DELIVERED").await;
}
