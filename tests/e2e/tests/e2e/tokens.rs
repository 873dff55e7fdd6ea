//! Who may do what: tokens that are absent, wrong, revoked, expired, or of a lesser role.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::stream::Socket;
use crate::harness::wait::{PATIENCE, SOON};
use crate::harness::{App, Client, Said, order, report, text, until};

const VIEWER: &str = "{ viewer { role tokenName tenant { name } } }";

async fn status(client: &Client) -> StatusCode {
    let request = client
        .request(Method::POST, "/graphql")
        .json(&json!({ "query": VIEWER }));
    request.send().await.unwrap().status()
}

/// The id of the tenant's newest live token.
fn token_id(app: &App, tenant: &str) -> String {
    let list = app.says(&["token", "list", "--tenant", tenant]);
    let live = list
        .lines()
        .rfind(|line| line.contains("live"))
        .expect("a live token");
    live.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn only_a_live_token_opens_the_door() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    assert_eq!(status(&acme).await, StatusCode::OK);
    let cut = acme.token()[..acme.token().len() - 1].to_owned();
    for wrong in [
        "",
        "tmz_",
        "tmz_wrong",
        &cut,
        &format!("{}x", acme.token()),
        &acme.token().to_uppercase(),
    ] {
        assert_eq!(
            status(&app.client(wrong)).await,
            StatusCode::UNAUTHORIZED,
            "{wrong:?}"
        );
    }
    let answer = app
        .client("")
        .request(Method::POST, "/graphql")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert!(
        answer.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Bearer")
    );
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_revoked_token_stops_working_everywhere() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.import(&project, "report.json", report::semgrep(1)).await;
    acme.ends_as(&task, "COMPLETED").await;
    app.says(&["token", "revoke", &token_id(&app, "acme")]);
    until("the refusal", SOON, async || {
        (status(&acme).await == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let artifact = acme.request(Method::GET, "/v1/artifacts/x").send().await.unwrap();
    assert_eq!(artifact.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        acme.send(&project, "x", "x").await.status(),
        StatusCode::UNAUTHORIZED
    );
    let again = app.run(&["token", "revoke", &token_id_of(&app, "revoked")]);
    assert_eq!(again.status.code(), Some(1), "it is revoked already");
}

fn token_id_of(app: &App, state: &str) -> String {
    let list = app.says(&["token", "list"]);
    let line = list
        .lines()
        .find(|line| line.contains(state))
        .expect("such a token");
    line.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn an_expired_token_stops_working() {
    let app = App::start().await;
    app.says(&["tenant", "create", "acme"]);
    let short = app.token("acme", &["--expires-in", "3s"]);
    let viewer = short.answer(VIEWER, Value::Null).await;
    assert!(viewer["data"]["viewer"]["tenant"]["name"] == "acme" || viewer["errors"].is_array());
    until("the end of the token", SOON, async || {
        (status(&short).await == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    assert!(app.says(&["token", "list"]).contains("expired"));
}

#[tokio::test]
async fn a_viewer_reads_and_writes_nothing() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.import(&project, "report.json", report::semgrep(2)).await;
    acme.ends_as(&task, "COMPLETED").await;
    let upload = acme.upload(&project, "x", b"x".to_vec()).await;

    let viewer = app.token("acme", &["--role", "viewer"]);
    let whoami = viewer.data(VIEWER, Value::Null).await;
    assert_eq!(
        whoami["viewer"],
        json!({ "role": "VIEWER", "tokenName": "a-token", "tenant": { "name": "acme" } })
    );
    assert_eq!(viewer.findings(&task).await.len(), 2);
    assert_eq!(viewer.all_events(&task).await, acme.all_events(&task).await);

    assert_eq!(
        viewer.send(&project, "x", "x").await.status(),
        StatusCode::FORBIDDEN
    );
    for (mutation, input) in [
        ("createProject", json!({ "name": "another" })),
        ("startScan", order(&project, &upload)),
        ("importReport", order(&project, &upload)),
        ("cancelTask", json!({ "taskId": task })),
        ("retryTask", json!({ "taskId": task })),
    ] {
        let refused = viewer.mutate(mutation, input).await;
        assert_eq!(
            refused["errors"][0]["code"], "NOT_ALLOWED",
            "{mutation}: {refused}"
        );
    }
    assert_eq!(
        acme.data("{ tasks { totalCount } }", Value::Null).await["tasks"]["totalCount"],
        1
    );
    let analyst = app.token("acme", &["--role", "analyst"]);
    let task = analyst.import(&project, "report.json", report::semgrep(1)).await;
    analyst.ends_as(&task, "COMPLETED").await;
}

#[tokio::test]
async fn the_last_use_of_a_token_is_noted_and_its_secret_is_nowhere() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    acme.project("shop").await;
    until("the last use", PATIENCE, async || {
        let list = app.says(&["token", "list", "--tenant", "acme"]);
        (!list.contains("never")).then_some(())
    })
    .await;
    let dump = app.sql("select string_agg(t::text, ' ') from tenant.api_token t");
    assert!(!dump.contains(acme.token()) && !app.log().contains(acme.token()));
}

#[tokio::test]
async fn a_websocket_needs_a_live_token_too() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let mut socket = acme.socket().await;
    socket.subscribe("1", VIEWER, Value::Null).await;
    let Said::Next(answer) = socket.next().await else {
        panic!("an answer")
    };
    assert_eq!(text(&answer["data"]["viewer"]["tenant"]["name"]), "acme");
    assert_eq!(Socket::refusal(&app.client("tmz_wrong")).await, 4403);
    assert_eq!(Socket::refusal(&app.client("")).await, 4403);
    app.says(&["token", "revoke", &token_id(&app, "acme")]);
    assert_eq!(Socket::refusal(&acme).await, 4403);
}
