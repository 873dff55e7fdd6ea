//! What an answer costs, what pages of other sites may do, how errors are named, batches, compression.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE,
    ORIGIN, RETRY_AFTER, VARY,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::toy::{POINTS, Setup, Toy};
use crate::api::cost::Limits;

const PATIENCE: Duration = Duration::from_secs(10);

async fn ask(toy: &Toy, body: &Value) -> (StatusCode, Value) {
    let response = toy.post().json(body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or("no code")
}

#[tokio::test]
async fn every_answer_says_what_it_cost_and_what_is_left() {
    let toy = Toy::start().await;
    let (_, body) = ask(&toy, &json!({ "query": "{ items(first: 10) { name } }" })).await;
    let cost = json!({ "requested": 11, "budget": POINTS, "remaining": POINTS - 11, "resetSeconds": 2 });
    assert_eq!(body["extensions"], json!({ "cost": cost }));
    // what fails has been paid as well, and what does not fit the schema
    for query in ["{ broken }", "{ missing }"] {
        let (_, body) = ask(&toy, &json!({ "query": query })).await;
        assert_eq!(body["extensions"]["cost"]["requested"], 1, "{query} {body}");
    }
}

#[tokio::test]
async fn a_tenant_without_points_is_told_when_there_are_some_again() {
    let toy = Toy::start().await;
    toy.leave_points(10);
    let request = toy
        .post()
        .json(&json!({ "query": "{ items(first: 10) { name } }" }));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[RETRY_AFTER], "3");
    let body: Value = response.json().await.unwrap();
    assert_eq!(code(&body), "COST_BUDGET_EXHAUSTED");
    let cost = json!({ "requested": 11, "budget": POINTS, "remaining": 10, "resetSeconds": 2 });
    assert_eq!(body["errors"][0]["extensions"]["cost"], cost);
    assert!(body.get("data").is_none());
    // what is small enough is paid
    let (status, _) = ask(&toy, &json!({ "query": "{ items(first: 9) { name } }" })).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn every_error_names_its_request_and_a_plain_id_of_the_client_is_kept() {
    let toy = Toy::start().await;
    let bodies = [
        "{",
        "[]",
        r#"{"query":"{"}"#,
        r#"{"query":"{ missing }"}"#,
        r#"{"query":"{ broken }"}"#,
        r#"{"query":"{ panics }"}"#,
        r#"{"query":"{ slow }"}"#,
        r#"{"query":"subscription { silence }"}"#,
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let own = format!("client-{number}");
        let request = toy
            .post()
            .header(CONTENT_TYPE, "application/json")
            .header("x-request-id", &own)
            .body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], own.as_str());
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["requestId"], own, "{body}");
        assert_ne!(code(&answer), "no code", "{body}");
    }
    // before the token is looked at, and with an id that may not stand in logs
    let request = reqwest::Client::new()
        .post(toy.url())
        .header("x-request-id", "a b\"c");
    let response = request.send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(Uuid::parse_str(&id).is_ok(), "{id}");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["requestId"], id);
}

#[tokio::test]
async fn nothing_that_a_foreign_page_can_send_unasked_is_run() {
    let toy = Toy::start().await;
    let client = reqwest::Client::new();
    let queries = ["{ hello }", "mutation { bump }", "subscription { count(to: 1) }"];
    for query in queries {
        // a link, an image, an event source
        let link = client.get(toy.url()).query(&[("query", query)]);
        let stream = client
            .get(toy.url())
            .query(&[("query", query)])
            .header(ACCEPT, "text/event-stream");
        let mut simple = vec![link, stream];
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            let body = json!({ "query": query }).to_string();
            simple.push(client.post(toy.url()).header(CONTENT_TYPE, kind).body(body));
        }
        for request in simple {
            let request = request
                .header(ORIGIN, "https://evil.example")
                .header("cookie", "a=b");
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{query}");
        }
    }
}

#[tokio::test]
async fn a_named_page_may_call_after_asking_and_no_other() {
    let toy = Toy::start().await;
    let preflight = async |origin: &str| {
        let request = reqwest::Client::new()
            .request(Method::OPTIONS, toy.url())
            .header(ORIGIN, origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        request.send().await.unwrap()
    };
    let answer = preflight("https://console.example").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers();
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://console.example");
    assert!(
        headers["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("authorization")
    );
    assert!(headers.get("access-control-allow-credentials").is_none());
    assert!(
        headers[VARY]
            .to_str()
            .unwrap()
            .to_ascii_lowercase()
            .contains("origin")
    );
    for foreign in [
        "https://evil.example",
        "https://console.example.evil.example",
        "null",
    ] {
        let answer = preflight(foreign).await;
        assert!(
            answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).is_none(),
            "{foreign}"
        );
    }
    // the answers themselves, refusals too, so that the page can read them
    for (token, status) in [
        (toy.token.as_str(), StatusCode::OK),
        ("tmz_wrong", StatusCode::UNAUTHORIZED),
    ] {
        let request = reqwest::Client::new()
            .post(toy.url())
            .header(ORIGIN, "https://console.example")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .json(&json!({ "query": "{ hello }" }));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(
            answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://console.example"
        );
        let exposed = answer.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap();
        assert!(
            exposed.contains("x-request-id") && exposed.contains("retry-after"),
            "{exposed}"
        );
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_where_it_is_allowed() {
    let one = json!({ "query": "{ hello }" });
    let toy = Toy::start_with(Setup {
        batch_max: 3,
        ..Setup::default()
    })
    .await;
    let batch = json!([{ "query": "{ hello(name: \"a\") }" }, { "query": "{" }, { "query": "subscription { silence }" }]);
    let (status, body) = ask(&toy, &batch).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body[0]["data"]["hello"], "hello a");
    assert_eq!(code(&body[1]), "GRAPHQL_PARSE_FAILED");
    assert_eq!(code(&body[2]), "SUBSCRIPTION_NEEDS_STREAM");
    assert_eq!(body.as_array().map(Vec::len), Some(3));
    for (batch, expected) in [
        (json!([]), "BATCH_TOO_LARGE"),
        (json!([one, one, one, one]), "BATCH_TOO_LARGE"),
    ] {
        let (status, body) = ask(&toy, &batch).await;
        assert_eq!((status, code(&body)), (StatusCode::BAD_REQUEST, expected));
    }
    // each is paid
    toy.leave_points(2);
    let (_, body) = ask(&toy, &json!([one, one, one])).await;
    assert_eq!(body[1]["extensions"]["cost"]["remaining"], 0);
    assert_eq!(code(&body[2]), "COST_BUDGET_EXHAUSTED");
    // each is counted
    toy.leave_points(9);
    toy.spend();
    let (status, body) = ask(&toy, &json!([one, one])).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED")
    );

    let (status, body) = ask(&Toy::start().await, &json!([one])).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "BATCH_NOT_SUPPORTED")
    );
}

#[tokio::test]
async fn introspection_that_is_switched_off_is_refused_over_every_way_in() {
    let limits = Limits {
        introspection: false,
        ..Limits::default()
    };
    let toy = Toy::start_with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let (_, body) = ask(&toy, &json!({ "query": "{ __schema { queryType { name } } }" })).await;
    assert_eq!(code(&body), "INTROSPECTION_DISABLED");
    let get = toy.get(&[("query", "{ __type(name: \"Item\") { name } }")]);
    let body: Value = get.send().await.unwrap().json().await.unwrap();
    assert_eq!(code(&body), "INTROSPECTION_DISABLED");
    let (_, body) = ask(&toy, &json!({ "query": "{ __typename hello }" })).await;
    assert_eq!(body["data"]["__typename"], "Query");
}

#[tokio::test]
async fn large_json_is_compressed_for_who_takes_it_and_nothing_else_is() {
    let toy = Toy::start().await;
    let send = async |query: &str, accept: &str, encoding: &str| {
        let request = toy
            .post()
            .header(ACCEPT, accept)
            .header(ACCEPT_ENCODING, encoding)
            .json(&json!({ "query": query }));
        tokio::time::timeout(PATIENCE, request.send())
            .await
            .unwrap()
            .unwrap()
    };
    let large = "{ items(first: 100) { name } }";
    let answer = send(large, "application/json", "gzip, br").await;
    assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip");
    assert!(
        answer.headers()[VARY]
            .to_str()
            .unwrap()
            .contains("accept-encoding")
    );
    let packed = answer.bytes().await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["data"]["items"].as_array().map(Vec::len), Some(100));
    assert!(
        packed.len() < text.len() / 2,
        "{} of {}",
        packed.len(),
        text.len()
    );
    for (query, accept, encoding) in [
        (large, "application/json", "identity"),
        ("{ hello }", "application/json", "gzip"),
        (large, "text/event-stream", "gzip"),
    ] {
        let answer = send(query, accept, encoding).await;
        assert!(
            answer.headers().get(CONTENT_ENCODING).is_none(),
            "{query} {accept} {encoding}"
        );
    }
}
