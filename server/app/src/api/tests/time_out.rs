//! Queries whose time is over, or whose client is gone: their statements end in Postgres, too.

use super::slow_database::SlowDatabase;
use super::*;

const QUERY: &str = "{ projects { nodes { name } } }";

fn ask(door: &Door, token: &Token) -> reqwest::RequestBuilder {
    Client::new()
        .post(door.url("/graphql"))
        .bearer_auth(token.reveal())
        .json(&json!({ "query": QUERY }))
}

#[tokio::test]
async fn a_query_over_its_time_is_answered_and_its_statement_is_cancelled() {
    let door = Door::open_with(|settings| settings.graphql.timeout = Duration::from_millis(500)).await;
    let (token, _) = door.tenant("acme", Role::Owner).await;
    let slow = SlowDatabase::lock(&door.platform, "tenant.project").await;
    // more often than the tenant may hold connections
    for _ in 0..6 {
        let response = ask(&door, &token).send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        let body: Value = response.json().await.unwrap();
        let extensions = &body["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "QUERY_TIMEOUT", "{body}");
        assert_eq!(extensions["requestId"], id, "{body}");
        // the lock is still held, so it did not end by itself
        slow.until_waiting(0).await;
    }
    slow.release();
    assert_eq!(ask(&door, &token).send().await.unwrap().status(), StatusCode::OK);
    door.close().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_statement_behind() {
    let door = Door::open().await;
    let (token, _) = door.tenant("acme", Role::Owner).await;
    let slow = SlowDatabase::lock(&door.platform, "tenant.project").await;
    for _ in 0..6 {
        let request = tokio::spawn(ask(&door, &token).send());
        slow.until_waiting(1).await;
        request.abort();
        slow.until_waiting(0).await;
    }
    slow.release();
    assert_eq!(ask(&door, &token).send().await.unwrap().status(), StatusCode::OK);
    door.close().await;
}

#[tokio::test]
async fn queries_are_paid_from_the_tenants_budget() {
    let door = Door::open_with(|settings| {
        settings.graphql.cost_per_minute = std::num::NonZeroU32::new(100);
    })
    .await;
    let (token, _) = door.tenant("acme", Role::Owner).await;
    let (other, _) = door.tenant("globex", Role::Owner).await;
    let query = "{ projects(first: 40) { nodes { name } } }";
    let answer = door.graphql(&token, query, json!({})).await;
    let cost = &answer["extensions"]["cost"];
    assert_eq!(
        (&cost["requested"], &cost["budget"]),
        (&json!(81), &json!(100)),
        "{answer}"
    );
    assert!(
        cost["remaining"].as_u64().is_some_and(|left| left <= 25),
        "{cost}"
    );
    let answer = door.graphql(&token, query, json!({})).await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "COST_BUDGET_EXHAUSTED",
        "{answer}"
    );
    let answer = door.graphql(&other, query, json!({})).await;
    assert!(
        answer.get("errors").is_none(),
        "another tenant has its own: {answer}"
    );
    door.close().await;
}

#[tokio::test]
async fn a_method_that_a_route_does_not_know_is_told_with_a_code() {
    let door = Door::open().await;
    for (method, path) in [("DELETE", "/healthz"), ("POST", "/"), ("PUT", "/v1/uploads")] {
        let (token, _) = door.tenant(&path.replace('/', "x"), Role::Owner).await;
        let request = Client::new()
            .request(method.parse().unwrap(), door.url(path))
            .bearer_auth(token.reveal());
        let response = request.send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(response.headers().contains_key("allow"), "{method} {path}");
        let body: Value = response.json().await.unwrap();
        let extensions = &body["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "METHOD_NOT_ALLOWED", "{method} {path} {body}");
        assert_eq!(extensions["requestId"], id);
    }
    door.close().await;
}
