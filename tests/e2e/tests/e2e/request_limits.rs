//! Requests per minute of a tenant, over two servers on one database, counted in Postgres and in Redis.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::app::free_port;
use crate::harness::process::Process;
use crate::harness::wait::SOON;
use crate::harness::{App, Client, Plan, checkout, until};

/// A minute's requests, of which this many may come at once.
const REQUESTS_PER_MINUTE: u64 = 60;
const BURST: u64 = 10;

#[tokio::test]
async fn two_servers_hold_one_limit_in_postgres() {
    let app = Plan::new().without_worker().start().await;
    two_servers_hold_one_limit(&app).await;
}

#[tokio::test]
async fn two_servers_hold_one_limit_in_redis() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new(redis_program());
    command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        &port.to_string(),
        "--save",
        "",
        "--dir",
    ]);
    command.arg(folder.path());
    let _redis = Process::spawn(&mut command, &folder.path().join("redis.log"));
    until("a Redis", SOON, async || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    })
    .await;
    let address = format!("redis://127.0.0.1:{port}/");
    let app = Plan::new()
        .without_worker()
        .set("redis_url", address)
        .start()
        .await;
    two_servers_hold_one_limit(&app).await;
    assert_eq!(app.sql("select count(*) from control.request_rate"), "0");
}

/// Where `scripts/setup-redis` finds or puts it.
fn redis_program() -> PathBuf {
    let found = checkout::program("redis-server", ".tools/redis/redis-server");
    found.expect("no redis-server: run scripts/setup-redis, which finds or unpacks one")
}

async fn two_servers_hold_one_limit(app: &App) {
    let acme = app.tenant("acme");
    let globex = app.tenant("globex");
    let limit = format!("requests-per-minute={REQUESTS_PER_MINUTE}");
    app.says(&["tenant", "limit", "acme", &limit]);
    let port = free_port();
    let mut command = app.tamiz();
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
    let _second = Process::spawn(&mut command, &app.folder().join("second.log"));
    let elsewhere = Client::new(&format!("http://127.0.0.1:{port}"), acme.token());
    until("a second server", SOON, async || {
        elsewhere.is_ready().await.then_some(())
    })
    .await;

    let began = Instant::now();
    let (mut passed, mut refused) = (0, None);
    for turn in 0..3 * BURST {
        let server = if turn % 2 == 0 { &acme } else { &elsewhere };
        let ask = server.request(Method::POST, "/graphql");
        let answer = ask
            .json(&json!({ "query": "{ viewer { role } }" }))
            .send()
            .await
            .unwrap();
        match answer.status() {
            StatusCode::OK => passed += 1,
            StatusCode::TOO_MANY_REQUESTS => refused = Some(answer),
            other => panic!("{other}"),
        }
    }
    // one more a second while this goes on
    let most = BURST + 1 + began.elapsed().as_secs();
    assert!((BURST..=most).contains(&passed), "{passed} of {most}");
    let refused = refused.expect("a refusal");
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = refused.json().await.unwrap();
    let extensions = &body["errors"][0]["extensions"];
    assert_eq!(extensions["code"], "RATE_LIMITED");
    assert_eq!(
        extensions["limit"],
        json!({ "name": "requests-per-minute", "value": REQUESTS_PER_MINUTE })
    );

    an_upload_counts(&acme).await;
    let other = globex.data("{ viewer { role } }", Value::Null).await;
    assert!(other["viewer"]["role"].is_string(), "{other}");
    refusals_are_told_and_requests_counted(app, passed).await;
}

/// It is refused by its head, as often as it comes before there is room again.
async fn an_upload_counts(acme: &Client) {
    let mut refused = false;
    for _ in 0..20 {
        let upload = acme.request(Method::POST, "/v1/uploads").body("[]");
        refused |= upload.send().await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(refused);
}

async fn refusals_are_told_and_requests_counted(app: &App, passed: u64) {
    let requests = "select coalesce(sum(requests_count), 0) from control.quota_usage u
        join control.tenant t on t.id = u.tenant_id where t.name = 'acme'";
    until("counted requests", SOON, async || {
        (app.sql(requests).parse::<u64>().unwrap() >= passed).then_some(())
    })
    .await;
    let told = "select count(*) from tenant.audit_log where action = 'quota.refused'
        and resource_id = 'requests-per-minute'";
    until("a refusal in the audit log", SOON, async || {
        (app.sql(told) != "0").then_some(())
    })
    .await;
}
