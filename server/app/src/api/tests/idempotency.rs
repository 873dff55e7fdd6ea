//! Mutations that are sent again with their key.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tamiz_core::token::Token;
use tamiz_store::token::Role;

use super::Door;

const CREATE: &str = "mutation($input: CreateProjectInput!) { createProject(input: $input) {
    project { id name } errors { code path } } }";

/// What came back: status, whether it was said before, and the body.
#[derive(Debug, PartialEq)]
struct Said {
    status: StatusCode,
    replayed: bool,
    body: Value,
}

impl Said {
    fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_default()
    }

    fn project(&self) -> &Value {
        &self.body["data"]["createProject"]["project"]
    }
}

async fn send(door: &Door, token: &Token, key: &str, document: &str, variables: Value) -> Said {
    let request = Client::new()
        .post(door.url("/graphql"))
        .bearer_auth(token.reveal())
        .header("idempotency-key", key)
        .json(&json!({ "query": document, "variables": variables }));
    let response = request.send().await.unwrap();
    Said {
        status: response.status(),
        replayed: response.headers().contains_key("idempotency-replayed"),
        body: response.json().await.unwrap(),
    }
}

async fn create(door: &Door, token: &Token, key: &str, name: &str) -> Said {
    send(door, token, key, CREATE, json!({ "input": { "name": name } })).await
}

#[tokio::test]
async fn a_mutation_sent_again_is_answered_again_and_done_once() {
    let door = Door::open().await;
    let (token, _) = door.tenant("acme", Role::Analyst).await;
    let first = create(&door, &token, "\"8e03978e\"", "shop").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.project()["name"], "shop", "{first:?}");
    assert!(!first.replayed);
    // with quotes or without, it is the same key
    let again = create(&door, &token, "8e03978e", "shop").await;
    assert_eq!(again.body["data"], first.body["data"]);
    assert!(again.replayed);

    let other = create(&door, &token, "8e03978e", "another").await;
    assert_eq!(
        (other.status, other.code()),
        (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
    );
    let count = door
        .graphql(&token, "{ projects { totalCount } }", json!({}))
        .await;
    assert_eq!(count["data"]["projects"]["totalCount"], 1);

    // on a query it says nothing, and somebody else's key is another one
    let query = send(
        &door,
        &token,
        "8e03978e",
        "{ projects { totalCount } }",
        json!({}),
    )
    .await;
    assert_eq!(query.body["data"]["projects"]["totalCount"], 1);
    let (stranger, _) = door.tenant("globex", Role::Analyst).await;
    let theirs = create(&door, &stranger, "8e03978e", "shop").await;
    assert!(
        !theirs.replayed && theirs.project() != first.project(),
        "{theirs:?}"
    );
    door.close().await;
}

#[tokio::test]
async fn what_was_refused_leaves_its_key_free() {
    let door = Door::open().await;
    let (token, _) = door.tenant("acme", Role::Analyst).await;
    for document in ["mutation { nothing }", "mutation {"] {
        let invalid = send(&door, &token, "a", document, json!({})).await;
        assert!(invalid.body["errors"].is_array(), "{invalid:?}");
    }
    for _ in 0..2 {
        let refused = create(&door, &token, "a", "").await;
        let errors = &refused.body["data"]["createProject"]["errors"];
        assert_eq!(errors[0]["code"], "INVALID_INPUT", "{refused:?}");
        assert!(!refused.replayed);
    }
    let made = create(&door, &token, "a", "shop").await;
    assert_eq!(made.project()["name"], "shop", "{made:?}");
    assert!(create(&door, &token, "a", "shop").await.replayed);

    let long = "x".repeat(256);
    for key in ["\"open", long.as_str()] {
        let refused = create(&door, &token, key, "other").await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_INVALID"),
            "{key}"
        );
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_come_at_once_one_is_carried_out() {
    let door = Door::open().await;
    let (token, _) = door.tenant("acme", Role::Analyst).await;
    let at_once = (0..8).map(|_| create(&door, &token, "a", "shop"));
    let said = futures_util::future::join_all(at_once).await;
    let mut first = 0;
    for one in &said {
        match one.status {
            StatusCode::OK if one.replayed => {}
            StatusCode::OK => first += 1,
            status => assert_eq!(
                (status, one.code()),
                (StatusCode::CONFLICT, "IDEMPOTENCY_KEY_IN_USE"),
                "{one:?}"
            ),
        }
        if one.status == StatusCode::OK {
            assert_eq!(one.project()["name"], "shop", "{one:?}");
        }
    }
    assert_eq!(first, 1, "{said:?}");
    door.close().await;
}

#[tokio::test]
async fn the_secret_of_a_token_is_told_once_and_kept_nowhere() {
    let door = Door::open().await;
    let (token, _) = door.tenant("acme", Role::Admin).await;
    let document =
        "mutation($input: CreateTokenInput!) { createToken(input: $input) { secret errors { code } } }";
    let input = json!({ "input": { "name": "ci", "role": "VIEWER" } });
    let made = send(&door, &token, "a", document, input.clone()).await;
    assert!(made.body["data"]["createToken"]["secret"].is_string(), "{made:?}");
    let again = send(&door, &token, "a", document, input).await;
    assert_eq!(
        (again.status, again.code()),
        (StatusCode::CONFLICT, "IDEMPOTENCY_KEY_UNKNOWN_OUTCOME"),
        "{again:?}"
    );
    let tokens = door
        .graphql(&token, "{ apiTokens { nodes { name } } }", json!({}))
        .await;
    let names = tokens["data"]["apiTokens"]["nodes"].as_array().unwrap().len();
    assert_eq!(names, 2, "{tokens}");
    door.close().await;
}
