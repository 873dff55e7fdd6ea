//! Workers without the database: what their tokens and credentials open, and what they do not.
//!
//! That they do the same work is tested with that work (`queue`, `killed_workers`); here a stranger speaks
//! the protocol by hand.

mod stranger;

use std::fs;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::wait::{PATIENCE, until_blocking};
use crate::harness::{App, Client, Plan, Workers, report, sha256, text, until};
use stranger::{Given, Stranger, good, nothing, one_finding, refused, with_findings};

/// An import that waits for somebody.
async fn waiting(acme: &Client) -> String {
    let project = acme.project("shop").await;
    acme.import(&project, "report.json", report::semgrep(2)).await
}

#[tokio::test]
async fn a_token_of_workers_opens_the_queue_and_nothing_else() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let stranger = Stranger::registered(&app, &[]).await;
    let room = json!({"scan_types": [], "tools": [], "worlds": [], "slots": 1});

    let of_tenant = Stranger::new(&app, acme.token());
    let invented = Stranger::new(&app, "tmw_nothing");
    for other in [&of_tenant, &invented] {
        let answer = other
            .request(Method::GET, "terms", &other.token)
            .send()
            .await
            .unwrap();
        assert_eq!(refused(answer, StatusCode::UNAUTHORIZED).await, "UNAUTHENTICATED");
    }
    for path in ["/graphql", "/v1/uploads", "/v1/artifacts/x"] {
        let client = app.client(&stranger.token);
        let answer = client
            .request(Method::POST, path)
            .json(&json!({"query": "{ me { id } }"}));
        assert_eq!(
            answer.send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    let bare = stranger
        .http
        .post(format!("{}/claim", stranger.root))
        .bearer_auth(&stranger.token);
    let answer = bare.json(&room).send().await.unwrap();
    assert_eq!(
        refused(answer, StatusCode::UPGRADE_REQUIRED).await,
        "PROTOCOL_MISMATCH"
    );

    let mut impostor = Stranger::registered(&app, &[]).await;
    impostor.worker.clone_from(&stranger.worker);
    for path in ["claim", "renew", "heartbeat", "bell"] {
        let answer = impostor.post(path, &impostor.token, &room).await;
        assert_eq!(
            refused(answer, StatusCode::FORBIDDEN).await,
            "WORKER_UNKNOWN",
            "{path}"
        );
    }

    check_revocation(&app, &stranger, &room).await;
}

/// Revoked, it opens nothing at once, and a worker says so, also one that works already.
async fn check_revocation(app: &App, stranger: &Stranger, room: &Value) {
    let mut living = app.remote_worker("living", &stranger.token);
    until_blocking("the worker is ready", PATIENCE, || {
        living.log().contains("the worker is ready").then_some(())
    });
    let list = app.says(&["worker", "token", "list"]);
    assert!(
        !list.contains(&stranger.token[12..]) && list.contains("a-stranger"),
        "{list}"
    );
    for line in list.lines().filter(|line| line.contains("a-stranger")) {
        app.says(&[
            "worker",
            "token",
            "revoke",
            line.split_whitespace().next().unwrap(),
        ]);
    }
    let answer = stranger.post("claim", &stranger.token, room).await;
    assert_eq!(refused(answer, StatusCode::UNAUTHORIZED).await, "UNAUTHENTICATED");
    let mut worker = app.remote_worker("revoked", &stranger.token);
    assert_eq!(worker.ends(PATIENCE).code(), Some(3));
    let log = worker.log();
    assert!(
        log.contains("revoked") && !log.contains(&stranger.token[12..]),
        "{log}"
    );
    assert_eq!(living.ends(PATIENCE).code(), Some(1));
    let log = living.log();
    assert!(log.contains("does not take this worker any more"), "{log}");
}

#[tokio::test]
async fn a_credential_opens_one_attempt_of_one_task() {
    let app = Plan::new().without_worker().start().await;
    let (acme, globex) = (app.tenant("acme"), app.tenant("globex"));
    let tasks = [waiting(&acme).await, waiting(&globex).await];
    let other = {
        let project = acme.project("other").await;
        acme.upload(&project, "secret.json", report::semgrep(9)).await
    };
    let stranger = Stranger::registered(&app, &[]).await;
    let mut given = stranger.claims().await;
    while given.len() < 2 {
        given.extend(stranger.claims().await);
    }
    let of = |task: &str| {
        given
            .iter()
            .find(|given| given.claim["task"] == task.trim_start_matches("Task_"))
            .unwrap()
            .clone()
    };
    let [ours, theirs] = tasks.each_ref().map(|task| of(task));
    let upload = |begun: &Value| text(&begun["run"]["payload"]["source"]["upload_id"]);
    let not_yet = stranger.post("plugins", &ours.credential, &json!({})).await;
    assert_eq!(refused(not_yet, StatusCode::CONFLICT).await, "STALE_ATTEMPT");
    let (ours_upload, theirs_upload) = (
        upload(&stranger.begins(&ours).await),
        upload(&stranger.begins(&theirs).await),
    );

    let path = |id: &str| format!("uploads/{id}/bytes");
    let bytes = stranger.get(&path(&ours_upload), &ours.credential).await;
    assert_eq!(bytes.bytes().await.unwrap(), report::semgrep(2));
    for foreign in [&theirs_upload, &other, &"x".to_owned()] {
        for path in [path(foreign), format!("uploads/{foreign}")] {
            let answer = stranger.get(&path, &ours.credential).await;
            assert_eq!(
                refused(answer, StatusCode::NOT_FOUND).await,
                "NOT_FOUND",
                "{path}"
            );
        }
    }
    let plugins = good(stranger.post("plugins", &ours.credential, &json!({})).await).await;
    let digest = text(&plugins["plugins"][0]["sha256"]);
    let component = stranger
        .get(&format!("components/{digest}"), &ours.credential)
        .await;
    assert_eq!(sha256(&component.bytes().await.unwrap()), digest);
    let unknown = stranger
        .get(&format!("components/{}", "0".repeat(64)), &ours.credential)
        .await;
    refused(unknown, StatusCode::NOT_FOUND).await;

    check_strangers(&app, &stranger, &ours, (&path(&ours_upload), &acme)).await;

    for given in [&ours, &theirs] {
        good(stranger.finishes(given, &nothing("failed"), b"").await).await;
    }
    let over = stranger.get(&path(&ours_upload), &ours.credential).await;
    assert_eq!(refused(over, StatusCode::CONFLICT).await, "STALE_ATTEMPT");
    acme.ends_as(&tasks[0], "FAILED").await;
    globex.ends_as(&tasks[1], "FAILED").await;
}

/// What is no credential, or one of another kind, opens no bytes; and this one nothing else.
async fn check_strangers(app: &App, stranger: &Stranger, ours: &Given, (bytes, acme): (&str, &Client)) {
    let last = if ours.credential.ends_with('0') { "1" } else { "0" };
    let forged = format!("{}{last}", &ours.credential[..ours.credential.len() - 1]);
    for wrong in [forged.as_str(), acme.token(), stranger.token.as_str(), "tml_"] {
        let answer = stranger.get(bytes, wrong).await;
        assert_eq!(refused(answer, StatusCode::UNAUTHORIZED).await, "UNAUTHENTICATED");
    }
    let answer = stranger.post("claim", &ours.credential, &json!({})).await;
    refused(answer, StatusCode::UNAUTHORIZED).await;
    let client = app.client(&ours.credential);
    let answer = client
        .request(Method::POST, "/graphql")
        .json(&json!({"query": "{ __typename }"}));
    assert_eq!(answer.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_late_attempt_is_refused_whatever_it_writes_and_then_its_credential_ends() {
    let app = Plan::new().without_worker().with_short_leases().start().await;
    let acme = app.tenant("acme");
    let task = waiting(&acme).await;
    let (first, second) = (
        Stranger::registered(&app, &[]).await,
        Stranger::registered(&app, &[]).await,
    );
    let late = first.claims().await.remove(0);
    first.begins(&late).await;
    let kept = good(first.put("artifacts", &late.credential, b"early".to_vec()).await).await;
    assert_eq!(kept["size_bytes"], 5);

    let next = second.claims().await.remove(0);
    assert_eq!(next.claim["attempt"], 2);
    second.begins(&next).await;
    let told = json!({"phase": "scanning", "message": "late", "done": null, "total": null});
    let log = json!({"lines": [{"level": "info", "message": "late", "age": 0}]});
    for answer in [
        first.post("report", &late.credential, &told).await,
        first.post("log", &late.credential, &log).await,
        first.post("plugins", &late.credential, &json!({})).await,
        first.post("secret-key", &late.credential, &json!({})).await,
        first.put("artifacts", &late.credential, b"late".to_vec()).await,
        first.finishes(&late, &nothing("failed"), b"").await,
    ] {
        let path = answer.url().path().to_owned();
        assert_eq!(
            refused(answer, StatusCode::CONFLICT).await,
            "STALE_ATTEMPT",
            "{path}"
        );
    }
    assert_eq!(first.begins(&late).await, json!("stale"));
    let held = first
        .asks("renew", &json!({"held": [late.claim], "wait": false}))
        .await;
    assert_eq!(held["held"], json!([]));
    let done = second.finishes(&next, &nothing("failed"), b"").await;
    assert_eq!(good(done).await["status"], "failed");

    until("the end of the credential", PATIENCE, async || {
        let answer = first.post("report", &late.credential, &told).await;
        (answer.status() == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let failed = acme.ends_as(&task, "FAILED").await;
    assert_eq!(
        (&failed["attempt"], &failed["artifacts"]),
        (&json!(2), &json!([]))
    );
}

#[tokio::test]
async fn what_is_handed_in_is_looked_at_again_and_taken_once() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let task = waiting(&acme).await;
    let stranger = Stranger::registered(&app, &[]).await;
    let given = stranger.claims().await.remove(0);
    stranger.begins(&given).await;
    let (spool, summary) = one_finding();
    let whole = with_findings(&spool, &summary);

    let mut changed = spool.clone();
    changed[20] ^= 1;
    for wrong in [&spool[1..], &changed, &[&spool[..], b"x"].concat(), b""] {
        let answer = stranger.finishes(&given, &whole, wrong).await;
        assert_eq!(refused(answer, StatusCode::BAD_REQUEST).await, "BAD_REQUEST");
    }
    let mut more = summary.clone();
    more["findings"] = json!(2);
    let twice = [&spool[..], &spool].concat();
    let nul = String::from_utf8(spool.clone())
        .unwrap()
        .replace("\"a\"", "\"\\u0000\"");
    let stranger_of = br#"{"occurrence":{"of":"0199f3c0-7c1e-7000-8000-000000000000","ordinal":1,"locations":[],"origin":null}}"#;
    let dangling = [&spool[..], stranger_of, b"\n"].concat();
    let mut elsewhere = whole.clone();
    elsewhere["artifacts"] = json!([{"id": uuid::Uuid::now_v7(), "kind": "report", "name": "n", "media_type": "t",
        "blob": {"storage_path": format!("t/{}/artifact/{}", given.claim["tenant"].as_str().unwrap(), "0".repeat(64)),
                 "hash": vec![0; 32], "size_bytes": 1}}]);
    let mut running = whole.clone();
    running["ending"]["status"] = json!("running");
    let mut run_of_another = whole.clone();
    run_of_another["executions"] = json!([{"id": uuid::Uuid::now_v7(), "task_id": uuid::Uuid::now_v7(), "attempt": 1,
        "tool": "t", "tool_version": null, "args": [], "exit_code": 0, "ended_by": "exited",
        "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:00Z", "stdout_ref": null,
        "stderr_ref": null, "metrics": {}}]);
    for (hand_in, spool) in [
        (with_findings(&spool, &more), spool.clone()),
        (with_findings(&twice, &more), twice.clone()),
        (with_findings(nul.as_bytes(), &summary), nul.clone().into_bytes()),
        (with_findings(&dangling, &summary), dangling.clone()),
        (elsewhere, spool.clone()),
        (running, spool.clone()),
        (run_of_another, spool.clone()),
    ] {
        let answer = stranger.finishes(&given, &hand_in, &spool).await;
        assert_eq!(
            refused(answer, StatusCode::UNPROCESSABLE_ENTITY).await,
            "INVALID_INPUT",
            "{hand_in}"
        );
    }
    assert_eq!(acme.task(&task).await["status"], "RUNNING");

    for _ in 0..2 {
        let answer = stranger.finishes(&given, &whole, &spool).await;
        assert_eq!(good(answer).await["status"], "completed");
    }
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(done["findings"]["totalCount"], 1);
    let other = stranger.finishes(&given, &nothing("failed"), b"").await;
    assert_eq!(
        good(other).await["status"],
        "completed",
        "how it ended is told, whatever is said now"
    );
}

#[tokio::test]
async fn a_token_for_some_types_gets_no_others() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let task = waiting(&acme).await;
    let web = Stranger::registered(&app, &["--scan-types", "web,ssl"]).await;
    let all = json!({"scan_types": [], "tools": [], "worlds": ["0.1", "1.0"], "slots": 4});
    let code = json!({"scan_types": ["codeaudit"], "tools": [], "worlds": ["0.1", "1.0"], "slots": 4});
    for room in [&all, &code] {
        assert_eq!(web.asks("claim", room).await["leases"], json!([]));
    }
    let both = Stranger::registered(&app, &["--scan-types", "web,codeaudit"]).await;
    let given = both.claims().await.remove(0);
    both.begins(&given).await;
    good(both.finishes(&given, &nothing("failed"), b"").await).await;
    acme.ends_as(&task, "FAILED").await;
    let wrong = app.run(&[
        "worker",
        "token",
        "create",
        "--name",
        "x",
        "--scan-types",
        "No Such",
    ]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test]
async fn plugins_that_a_worker_does_not_have_come_with_their_tasks() {
    let app = Plan::new()
        .workers(Workers::Remote)
        .without_worker()
        .start()
        .await;
    let empty = app.folder().join("no-plugins");
    fs::create_dir(&empty).unwrap();
    let acme = app.tenant("acme");
    let task = waiting(&acme).await;
    let token = app.says(&["worker", "token", "create", "--name", "bare"]);
    let _worker = app.remote_worker_with("bare", &token, &[("plugin_dir", &empty.display().to_string())]);
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(done["findings"]["totalCount"], 2);
}

#[tokio::test]
async fn a_worker_that_cannot_come_to_its_server_says_why() {
    let app = Plan::new().without_worker().start().await;
    let token = app.says(&["worker", "token", "create", "--name", "a"]);
    let away = ["worker", "--server", "http://tamiz.example", "--token", &token];
    let output = app.run(&away);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("--insecure-http") && !said.contains(&token[12..]),
        "{said}"
    );
    let output = app.run(&["worker", "--server", &app.address()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TAMIZ_WORKER_TOKEN"));
    let output = app.run(&[
        "worker",
        "--server",
        &format!("{}/elsewhere", app.address()),
        "--token",
        &token,
    ]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("NOT_FOUND"), "{said}");
}

#[tokio::test]
async fn a_cancel_is_heard_by_whoever_waits_with_a_lease() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let task = waiting(&acme).await;
    let stranger = Stranger::registered(&app, &[]).await;
    let given = stranger.claims().await.remove(0);
    stranger.begins(&given).await;
    let held = json!({"held": [given.claim], "wait": true});
    let (answer, took) = tokio::join!(stranger.asks("renew", &held), async {
        let asked = std::time::Instant::now();
        acme.mutate("cancelTask", json!({ "taskId": task })).await;
        asked
    });
    assert!(took.elapsed() < Duration::from_secs(2), "{:?}", took.elapsed());
    assert_eq!(answer["held"][0]["cancel_requested"], true, "{answer}");
    good(stranger.finishes(&given, &nothing("cancelled"), b"").await).await;
    acme.ends_as(&task, "CANCELLED").await;
}
