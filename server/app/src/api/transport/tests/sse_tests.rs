//! Server-sent events, distinct connections mode.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::json;

use super::toy::{Setup, Toy};

const PATIENCE: Duration = Duration::from_secs(5);

async fn stream_of(toy: &Toy, query: &str) -> reqwest::Response {
    toy.post()
        .header(ACCEPT, "text/event-stream")
        .json(&json!({ "query": query }))
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_subscription_streams_next_events_and_completes() {
    let toy = Toy::start().await;
    let response = stream_of(&toy, "subscription { count(to: 2) }").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(
        response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    let text = tokio::time::timeout(PATIENCE, response.text())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        text,
        "event: next\ndata: {\"data\":{\"count\":1},\"extensions\":{\"cost\":{\"requested\":1,\"budget\":100000,\"remaining\":99999,\"resetSeconds\":2}}}\n\nevent: next\ndata: {\"data\":{\"count\":2}}\n\nevent: complete\ndata:\n\n"
    );
}

#[tokio::test]
async fn a_slow_query_is_stopped_over_events_too() {
    let toy = Toy::start().await;
    let text = stream_of(&toy, "{ slow }").await.text();
    let text = tokio::time::timeout(PATIENCE, text).await.unwrap().unwrap();
    assert!(
        text.contains("QUERY_TIMEOUT") && text.ends_with("event: complete\ndata:\n\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_query_works_over_events_by_post_and_get() {
    let toy = Toy::start().await;
    let text = stream_of(&toy, "{ hello }").await.text().await.unwrap();
    assert!(
        text.starts_with("event: next\ndata: {\"data\":{\"hello\""),
        "{text}"
    );
    let response = toy
        .get(&[("query", "subscription { count(to: 1) }")])
        .header(ACCEPT, "text/event-stream")
        .send()
        .await
        .unwrap();
    assert!(response.text().await.unwrap().contains("event: complete"));
    let response = toy
        .get(&[("query", "mutation { bump }")])
        .header(ACCEPT, "text/event-stream")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_subscription_without_a_stream_is_told_what_to_accept() {
    let toy = Toy::start().await;
    let response = toy
        .post()
        .json(&json!({ "query": "subscription { count(to: 1) }" }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("SUBSCRIPTION_NEEDS_STREAM")
    );
}

#[tokio::test]
async fn a_document_that_does_not_parse_is_refused_before_the_stream() {
    let toy = Toy::start().await;
    let response = stream_of(&toy, "subscription {").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(
        response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("application/json")
    );
}

#[tokio::test]
async fn a_quiet_stream_shows_signs_of_life() {
    let toy = Toy::start().await;
    let mut response = stream_of(&toy, "subscription { silence }").await;
    let chunk = tokio::time::timeout(PATIENCE, response.chunk())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(chunk.starts_with(b":"), "{chunk:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_token_or_with_the_server() {
    for end in [Toy::revoke, Toy::drain] {
        let toy = Toy::start().await;
        let response = stream_of(&toy, "subscription { silence }").await;
        end(&toy);
        let text = tokio::time::timeout(PATIENCE, response.text())
            .await
            .unwrap()
            .unwrap();
        assert!(!text.contains("complete"), "{text}");
        if toy.is_revoked() {
            assert!(text.contains("UNAUTHENTICATED"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_ends_and_says_so_to_whoever_reads_again() {
    let toy = Toy::start_with(Setup {
        send: Duration::from_millis(200),
        ..Setup::default()
    })
    .await;
    let response = stream_of(&toy, "subscription { flood }").await;
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    toy.until_free(4).await;
    let text = tokio::time::timeout(PATIENCE, response.text())
        .await
        .unwrap()
        .unwrap();
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("SLOW_CONSUMER") && last.contains(&id), "{last}");
    assert!(!text.contains("event: complete"));
    assert!(text.len() < 64 << 20, "{}", text.len());
}

#[tokio::test]
async fn an_event_stream_that_cannot_be_paid_does_not_begin() {
    let toy = Toy::start().await;
    toy.leave_points(0);
    let refused = stream_of(&toy, "subscription { silence }").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.text().await.unwrap().contains("COST_BUDGET_EXHAUSTED"));
}

#[tokio::test]
async fn more_streams_than_places_are_refused() {
    let toy = Toy::start().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(stream_of(&toy, "subscription { silence }").await);
    }
    let refused = stream_of(&toy, "subscription { silence }").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(open);
    // the place is free again as soon as the server notices
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while stream_of(&toy, "{ hello }").await.status() != StatusCode::OK {
        assert!(tokio::time::Instant::now() < deadline, "places never became free");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
