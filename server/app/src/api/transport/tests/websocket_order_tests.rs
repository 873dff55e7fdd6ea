//! `graphql-transport-ws` in odd orders and at its edges; the table of close codes is in `websocket_tests`.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::socket::{Client, PATIENCE};
use super::toy::Toy;

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

fn frame(kind: Data, text: &'static [u8], is_last: bool) -> Message {
    Message::Frame(Frame::message(
        Bytes::from_static(text),
        OpCode::Data(kind),
        is_last,
    ))
}

/// Connected with the token in the header, as programs do, and not yet acknowledged.
async fn with_header(toy: &Toy) -> Client {
    let bearer = format!("Bearer {}", toy.token);
    Client::connect_with(toy, &[PROTOCOL, ("authorization", &bearer)])
        .await
        .unwrap()
}

/// The toy's tokens are checked as often as its clients are pinged.
async fn next_ping(client: &mut Client) {
    let heard = timeout(PATIENCE, client.0.next()).await.unwrap();
    assert!(matches!(heard, Some(Ok(Message::Ping(_)))), "{heard:?}");
}

#[tokio::test]
async fn a_client_that_says_goodbye_is_answered() {
    let toy = Toy::start().await;
    for code in [CloseCode::Normal, CloseCode::Away, CloseCode::from(4499)] {
        let mut client = Client::ready(&toy).await;
        client.subscribe("x", "subscription { silence }").await;
        let goodbye = CloseFrame {
            code,
            reason: "done".into(),
        };
        client.0.send(Message::Close(Some(goodbye))).await.unwrap();
        assert_eq!(client.closed().await.0, u16::from(code));
        let after = timeout(PATIENCE, client.0.next()).await.unwrap();
        assert!(after.is_none(), "{after:?}");
    }
    // one that has not been acknowledged is as polite
    let mut client = Client::connect(&toy).await;
    client.0.send(Message::Close(None)).await.unwrap();
    assert!(matches!(client.next().await, Message::Close(_)));
}

#[tokio::test]
async fn a_socket_ping_is_answered_with_its_bytes() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client
        .0
        .send(Message::Ping(Bytes::from_static(b"there?")))
        .await
        .unwrap();
    let answer = loop {
        match timeout(PATIENCE, client.0.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
        {
            Message::Pong(bytes) => break bytes,
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(&answer[..], b"there?");
}

#[tokio::test]
async fn a_message_in_pieces_is_one_message() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    let (first, rest) = (br#"{"type":"pi"#, br#"ng"}"#);
    client.0.send(frame(Data::Text, first, false)).await.unwrap();
    client.0.send(Message::Ping(Bytes::new())).await.unwrap();
    client.0.send(frame(Data::Continue, rest, true)).await.unwrap();
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn text_that_is_not_utf8_ends_the_connection() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    let bytes = b"{\"type\":\"ping\xff\"}";
    client.0.send(frame(Data::Text, bytes, true)).await.unwrap();
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn what_is_said_beside_the_protocol_is_not_heard() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    client
        .say(&json!({ "type": "ping", "payload": { "at": 7 }, "id": 3, "extra": [] }))
        .await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
    client.say(&json!({ "type": "pong", "payload": null })).await;
    client.say(&json!({ "type": "ping", "payload": null })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn a_complete_before_the_init_is_nothing() {
    let toy = Toy::start().await;
    let mut client = Client::connect(&toy).await;
    client.say(&json!({ "type": "complete", "id": "x" })).await;
    client.init(&toy.token).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
}

#[tokio::test]
async fn what_follows_the_init_in_one_breath_is_heard_after_it() {
    let toy = Toy::start().await;
    let mut client = Client::connect(&toy).await;
    client.init(&toy.token).await;
    client.subscribe("x", "{ hello }").await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    assert_eq!(client.hear().await["type"], "next");
    assert_eq!(client.hear().await["type"], "complete");
}

#[tokio::test]
async fn two_inits_in_one_breath_are_one_too_many() {
    let toy = Toy::start().await;
    let mut client = Client::connect(&toy).await;
    client.init(&toy.token).await;
    client.init("tmz_wrong").await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    assert_eq!(
        client.closed().await,
        (4429, "Too many initialisation requests".to_owned())
    );
}

#[tokio::test]
async fn a_token_in_the_header_needs_an_init_too() {
    let toy = Toy::start().await;
    let mut client = with_header(&toy).await;
    client.subscribe("x", "{ hello }").await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn the_token_of_the_init_counts_and_not_that_of_the_header() {
    let toy = Toy::start().await;
    let mut client = with_header(&toy).await;
    client.init("tmz_wrong").await;
    assert_eq!(client.closed().await.0, 4403);
}

#[tokio::test]
async fn a_token_that_is_no_text_opens_nothing() {
    let toy = Toy::start().await;
    for authorization in [json!(7), json!(null), json!(["Bearer"]), json!("")] {
        let mut client = Client::connect(&toy).await;
        client
            .say(&json!({ "type": "connection_init", "payload": { "Authorization": authorization } }))
            .await;
        assert_eq!(client.closed().await.0, 4403, "{authorization}");
    }
}

#[tokio::test]
async fn a_token_revoked_before_the_init_opens_nothing() {
    let toy = Toy::start().await;
    let mut client = Client::connect(&toy).await;
    toy.revoke();
    client.init(&toy.token).await;
    assert_eq!(client.closed().await.0, 4403);
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_is_asked_for_later() {
    let toy = Toy::start().await;
    let mut running = Client::ready(&toy).await;
    toy.lose_the_keyring();
    let mut client = Client::connect(&toy).await;
    client.init(&toy.token).await;
    assert_eq!(client.closed().await.0, 1013);
    // who is in stays in: nobody said that the token has ended, however often it is checked
    for _ in 0..4 {
        next_ping(&mut running).await;
    }
    running.say(&json!({ "type": "ping" })).await;
    assert_eq!(running.hear().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn a_draining_server_does_not_wait_for_an_init() {
    let toy = Toy::start().await;
    let mut client = Client::connect(&toy).await;
    toy.drain();
    assert_eq!(client.closed().await.0, 1001);
}

#[tokio::test]
async fn ids_are_bounded() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    let longest = "é".repeat(64);
    client.subscribe(&longest, "{ hello }").await;
    assert_eq!(client.hear().await["id"], longest);
    assert_eq!(client.hear().await["type"], "complete");
    client.subscribe(&format!("{longest}x"), "{ hello }").await;
    assert_eq!(
        client.closed().await,
        (4400, "`id` is a string of 1 to 128 bytes".to_owned())
    );
}

#[tokio::test]
async fn a_long_id_fits_the_close_frame() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    let long = format!("x{}", "é".repeat(60));
    client.subscribe(&long, "subscription { silence }").await;
    client.subscribe(&long, "subscription { silence }").await;
    let (code, reason) = client.closed().await;
    assert_eq!(code, 4409);
    assert!(
        reason.starts_with("Subscriber for xé") && reason.ends_with("é already exists"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_id_is_free_after_its_error() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    for _ in 0..3 {
        client.subscribe("x", "{ missing }").await;
        assert_eq!(client.hear().await["type"], "error");
    }
    client.subscribe("x", "subscription { silence }").await;
    client.say(&json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await["type"], "pong");
}

#[tokio::test]
async fn of_several_subprotocols_ours_is_taken() {
    let toy = Toy::start().await;
    let several = ("sec-websocket-protocol", "graphql-ws, graphql-transport-ws");
    let mut client = Client::connect_with(&toy, &[several]).await.unwrap();
    client.init(&toy.token).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_its_place() {
    let toy = Toy::start().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(Client::ready(&toy).await);
    }
    // without a word: the sockets are dropped
    drop(held);
    let again = async {
        loop {
            let mut client = Client::connect(&toy).await;
            client.init(&toy.token).await;
            match client.next().await {
                Message::Text(_) => break,
                Message::Close(Some(full)) => assert_eq!(u16::from(full.code), 1013),
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}
