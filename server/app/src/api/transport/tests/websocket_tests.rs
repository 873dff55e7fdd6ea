//! `graphql-transport-ws`, message by message and close code by close code.
//!
//! Which test holds which code (those without a file are here, the others in `websocket_order_tests`):
//!
//! | code | when | test |
//! | --- | --- | --- |
//! | 1000 | the client goes, and hears the close it sent | `order: a_client_that_says_goodbye_is_answered` |
//! | 1001 | the server drains | `a_draining_server_says_that_it_goes`, `order: a_draining_server_does_not_wait_for_an_init` |
//! | 1009 | a message that is too large or no text | `a_message_beyond_the_limit_ends_the_connection`, `order: text_that_is_not_utf8_ends_the_connection` |
//! | 1013 | no place for one more stream | `a_websocket_takes_its_place_with_its_token`, `order: a_client_that_vanishes_leaves_its_place` |
//! | 1013 | the token cannot be checked now | `order: a_token_that_cannot_be_checked_is_asked_for_later` |
//! | 4400 | unknown, unreadable or misshapen messages, binary frames | `what_breaks_the_protocol_closes_with_4400`, `order: ids_are_bounded` |
//! | 4401 | an operation before the init | `who_does_not_say_a_valid_token_is_closed_out`, `order: a_token_in_the_header_needs_an_init_too` |
//! | 4401 | the token was revoked or expired | `a_connection_ends_when_its_token_is_revoked` |
//! | 4403 | an init without a valid token | `who_does_not_say_a_valid_token_is_closed_out`, `order: a_token_revoked_before_the_init_opens_nothing` |
//! | 4406 | another subprotocol, or none | `an_unknown_subprotocol_is_closed_with_4406`, `order: of_several_subprotocols_ours_is_taken` |
//! | 4408 | no init in time | `who_does_not_say_a_valid_token_is_closed_out` |
//! | 4408 | no sign of life | `a_silent_peer_is_given_up` |
//! | 4409 | the id runs already | `two_inits_and_two_operations_of_one_name_are_refused`, `order: a_long_id_fits_the_close_frame` |
//! | 4429 | a second init, acknowledged or not | `two_inits_and_two_operations_of_one_name_are_refused`, `order: two_inits_in_one_breath_are_one_too_many` |
//!
//! 1012 is not said: a server that restarts drains first, which is 1001.

mod ends;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::socket::{Client, PATIENCE};
use super::toy::{POINTS, Setup, Toy};
use crate::api::guard::rate::Allowance;

/// What a subscription to counts says; the first one says what it costs.
fn next_of_count(count: u32) -> Value {
    let mut payload = json!({ "data": { "count": count } });
    if count == 1 {
        let cost = json!({ "requested": 1, "budget": POINTS, "remaining": POINTS - 1, "resetSeconds": 2 });
        payload["extensions"] = json!({ "cost": cost });
    }
    json!({ "id": "one", "type": "next", "payload": payload })
}

#[tokio::test]
async fn a_subscription_runs_to_its_end() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("one", "subscription { count(to: 2) }").await;
    for count in 1..=2 {
        assert_eq!(client.hear().await, next_of_count(count));
    }
    assert_eq!(client.hear().await, json!({ "id": "one", "type": "complete" }));
    // the id is free again, and queries work as well
    client.subscribe("one", "{ hello }").await;
    assert_eq!(client.hear().await["payload"]["data"]["hello"], "hello world");
    assert_eq!(client.hear().await["type"], "complete");
}

#[tokio::test]
async fn the_header_is_as_good_as_the_init_payload() {
    let toy = Toy::start().await;
    let bearer = format!("Bearer {}", toy.token);
    let headers = [
        ("sec-websocket-protocol", "graphql-transport-ws"),
        ("authorization", bearer.as_str()),
    ];
    let mut client = Client::connect_with(&toy, &headers).await.unwrap();
    client.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(client.hear().await["type"], "connection_ack");

    let headers = [
        ("sec-websocket-protocol", "graphql-transport-ws"),
        ("authorization", "Bearer tmz_wrong"),
    ];
    assert!(
        matches!(Client::connect_with(&toy, &headers).await, Err(Error::Http(response)) if response.status() == 401)
    );
}

#[tokio::test]
async fn pings_are_answered_before_and_after_the_init() {
    let toy = Toy::start().await;
    let mut client = Client::connect(&toy).await;
    client.say(&json!({ "type": "ping", "payload": {} })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
    client.say(&json!({ "type": "pong" })).await;
    client.init(&toy.token).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
}

#[tokio::test]
async fn an_invalid_operation_is_an_error_and_the_connection_lives_on() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    for (query, code) in [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { missing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "OPERATION_UNKNOWN"),
    ] {
        client.subscribe("x", query).await;
        let message = client.hear().await;
        assert_eq!(
            (&message["id"], &message["type"]),
            (&json!("x"), &json!("error")),
            "{query}"
        );
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{query}");
    }
    client.subscribe("x", "{ hello }").await;
    assert_eq!(client.hear().await["type"], "next");
}

#[tokio::test]
async fn a_broken_field_hides_its_cause() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("x", "{ broken }").await;
    let message = client.hear().await;
    assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "INTERNAL");
    assert!(!message.to_string().contains("secret"));
}

#[tokio::test]
async fn a_stopped_operation_falls_silent_and_frees_its_id() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("x", "subscription { silence }").await;
    client.say(&json!({ "type": "complete", "id": "x" })).await;
    client
        .say(&json!({ "type": "complete", "id": "never seen" }))
        .await;
    client.subscribe("x", "subscription { count(to: 1) }").await;
    assert_eq!(client.hear().await["payload"]["data"]["count"], 1);
}

#[tokio::test]
async fn what_breaks_the_protocol_closes_with_4400() {
    let toy = Toy::start().await;
    for message in [
        "not json",
        "[]",
        "{}",
        r#"{"type":"start","id":"1"}"#,
        r#"{"type":"subscribe","payload":{"query":"{ hello }"}}"#,
        r#"{"type":"subscribe","id":"","payload":{"query":"{ hello }"}}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#,
        r#"{"type":"complete"}"#,
        r#"{"type":"ping","payload":"x"}"#,
        r#"{"type":"connection_init","payload":"x"}"#,
        r#"{"type":"ping","type":"pong"}"#,
    ] {
        let mut client = Client::ready(&toy).await;
        client.0.send(Message::text(message)).await.unwrap();
        assert_eq!(client.closed().await.0, 4400, "{message}");
    }
    let mut client = Client::ready(&toy).await;
    client.0.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(client.closed().await.0, 4400);
}

#[tokio::test]
async fn who_does_not_say_a_valid_token_is_closed_out() {
    let toy = Toy::start().await;
    let mut client = Client::connect(&toy).await;
    client.subscribe("x", "{ hello }").await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".to_owned()));

    for payload in [
        json!(null),
        json!({}),
        json!({ "Authorization": "Bearer tmz_wrong" }),
        json!({ "authorization": "x" }),
    ] {
        let mut client = Client::connect(&toy).await;
        client
            .say(&json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(client.closed().await, (4403, "Forbidden".to_owned()), "{payload}");
    }
    let mut client = Client::connect(&toy).await;
    assert_eq!(
        client.closed().await,
        (4408, "Connection initialisation timeout".to_owned())
    );
}

#[tokio::test]
async fn two_inits_and_two_operations_of_one_name_are_refused() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client.init(&toy.token).await;
    assert_eq!(client.closed().await.0, 4429);

    let mut client = Client::ready(&toy).await;
    client.subscribe("x", "subscription { silence }").await;
    client.subscribe("x", "subscription { silence }").await;
    assert_eq!(
        client.closed().await,
        (4409, "Subscriber for x already exists".to_owned())
    );
}

#[tokio::test]
async fn an_unknown_subprotocol_is_closed_with_4406() {
    let toy = Toy::start().await;
    let mut client = Client::connect_with(&toy, &[]).await.unwrap();
    assert_eq!(client.closed().await.0, 4406);
}

#[tokio::test]
async fn a_foreign_page_cannot_connect() {
    let toy = Toy::start().await;
    let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
    let refused = Client::connect_with(&toy, &[protocol, ("origin", "https://evil.example")]).await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 403));
    let own = format!("http://{}", toy.address);
    for origin in [own.as_str(), "https://console.example"] {
        assert!(
            Client::connect_with(&toy, &[protocol, ("origin", origin)])
                .await
                .is_ok(),
            "{origin}"
        );
    }
}

#[tokio::test]
async fn a_connection_ends_when_its_token_is_revoked() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("x", "subscription { silence }").await;
    toy.revoke();
    assert_eq!(
        client.closed().await,
        (4401, "The token has expired or was revoked".to_owned())
    );
}

#[tokio::test]
async fn a_draining_server_says_that_it_goes() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    toy.drain();
    assert_eq!(client.closed().await.0, 1001);
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    // pings are answered only while the client reads, which it does not for a while
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut last = None;
    while let Ok(Some(Ok(message))) = tokio::time::timeout(PATIENCE, client.0.next()).await {
        last = Some(message);
    }
    assert!(matches!(last, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 4408));
}

#[tokio::test]
async fn operations_are_limited_in_number_and_rate() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    for number in 0..50 {
        client
            .subscribe(&number.to_string(), "subscription { silence }")
            .await;
    }
    client.subscribe("one more", "{ hello }").await;
    let message = client.hear().await;
    assert_eq!(
        (&message["type"], &message["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("TOO_MANY_OPERATIONS"))
    );

    let toy = Toy::start_with(Setup {
        allowance: Allowance {
            requests_per_second: 1,
            burst: 1,
        },
        ..Setup::default()
    })
    .await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("1", "subscription { silence }").await;
    client.subscribe("2", "{ hello }").await;
    assert_eq!(
        client.hear().await["payload"][0]["extensions"]["code"],
        "RATE_LIMITED"
    );
}

#[tokio::test]
async fn every_operation_counts_for_its_tenant() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("1", "{ hello }").await;
    assert_eq!(client.hear().await["type"], "next");
    assert_eq!(client.hear().await["type"], "complete");
    toy.spend();
    client.subscribe("2", "{ hello }").await;
    let message = client.hear().await;
    assert_eq!(
        (&message["type"], &message["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("RATE_LIMITED"))
    );
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_connection() {
    let toy = Toy::start_with(Setup {
        keep_alive: PATIENCE,
        ..Setup::default()
    })
    .await;
    let mut client = Client::ready(&toy).await;
    let huge = json!({ "id": "x", "type": "subscribe", "payload": { "query": "x".repeat(2_000_000) } });
    let _ = client.0.send(Message::text(huge.to_string())).await;
    let end = loop {
        match tokio::time::timeout(PATIENCE, client.0.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => panic!("{text}"),
            Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break None,
        }
    };
    assert!(matches!(end, None | Some(1009)), "{end:?}");
}

#[tokio::test]
async fn a_slow_query_is_stopped_over_the_websocket_too() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("one", "{ slow }").await;
    let stopped = client.hear().await;
    assert_eq!(
        (&stopped["type"], &stopped["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("QUERY_TIMEOUT"))
    );
    // a subscription has no such limit: the toy's is silent for longer than queries may run
    client.subscribe("two", "subscription { silence }").await;
    client.subscribe("three", "{ slow }").await;
    assert_eq!(client.hear().await["id"], "three");
}

#[tokio::test]
async fn a_websocket_takes_its_place_with_its_token() {
    let toy = Toy::start().await;
    let mut strangers = Vec::new();
    for _ in 0..10 {
        strangers.push(Client::connect(&toy).await);
    }
    let mut ready = Vec::new();
    for _ in 0..4 {
        ready.push(Client::ready(&toy).await);
    }
    let mut fifth = Client::connect(&toy).await;
    fifth.init(&toy.token).await;
    assert_eq!(fifth.closed().await.0, 1013);
}
