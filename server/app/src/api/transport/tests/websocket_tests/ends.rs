//! What an operation is refused for, and how connections end that are slow or whose token does.

use super::*;

#[tokio::test]
async fn an_operation_that_cannot_be_paid_is_an_error_with_its_cost_and_the_request_s_id() {
    let toy = Toy::start().await;
    let mut client = Client::ready(&toy).await;
    toy.leave_points(3);
    client.subscribe("x", "{ items(first: 50) { name } }").await;
    let message = client.hear().await;
    let extensions = &message["payload"][0]["extensions"];
    assert_eq!(message["type"], "error");
    assert_eq!(extensions["code"], "COST_BUDGET_EXHAUSTED");
    assert_eq!(extensions["cost"]["requested"], 51);
    assert_eq!(extensions["cost"]["remaining"], 3);
    assert_eq!(extensions["retryAfterSeconds"], 3);
    assert!(extensions["requestId"].is_string(), "{message}");
    client.subscribe("x", "{ hello }").await;
    let message = client.hear().await;
    assert_eq!(message["payload"]["extensions"]["cost"]["remaining"], 2);
}

#[tokio::test]
async fn errors_of_a_websocket_name_the_request_of_its_handshake() {
    let toy = Toy::start().await;
    let headers = [
        ("sec-websocket-protocol", "graphql-transport-ws"),
        ("x-request-id", "page-7"),
    ];
    let mut client = Client::connect_with(&toy, &headers).await.unwrap();
    client.init(&toy.token).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    for query in ["{", "{ broken }"] {
        client.subscribe("x", query).await;
        let payload = client.hear().await["payload"].clone();
        let errors = payload.get("errors").unwrap_or(&payload);
        assert_eq!(errors[0]["extensions"]["requestId"], "page-7", "{query}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_so_when_it_reads_again() {
    let toy = Toy::start_with(Setup {
        send: Duration::from_millis(200),
        ..Setup::default()
    })
    .await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("x", "subscription { flood }").await;
    // its place is free again as soon as it is given up, before it is told
    toy.until_free(4).await;
    let mut read = 0;
    let close = loop {
        match tokio::time::timeout(PATIENCE, client.0.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => read += text.len(),
            Some(Ok(Message::Close(frame))) => {
                break frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    let reason = "Messages were not read in time, come back for the rest";
    assert_eq!(close, Some((4410, reason.to_owned())));
    // what its buffers and those of the line held, and no more
    assert!(read < 64 << 20, "{read}");
}

#[tokio::test]
async fn a_token_is_asked_for_once_however_many_connections_it_has() {
    let toy = Toy::start_with(Setup {
        keep_alive: PATIENCE,
        ..Setup::default()
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::ready(&toy).await);
    }
    assert_eq!(toy.tokens.watched(), 1);
    let before = toy.asked();
    let began = tokio::time::Instant::now();
    toy.until_asked(before + 5).await;
    // one question a period, not one of each connection
    let periods = began.elapsed().as_millis() / 50 + 1;
    assert!(
        periods >= 5,
        "five questions in {periods} periods of four connections"
    );
    toy.revoke();
    for client in &mut clients {
        assert_eq!(client.closed().await.0, 4401);
    }
    drop(clients);
    toy.until_free(4).await;
    assert_eq!(toy.tokens.watched(), 0);
}

#[tokio::test]
async fn a_token_that_expires_ends_its_connections_at_its_time() {
    let toy = Toy::start_with(Setup {
        expires_at: Some(chrono::Utc::now() + Duration::from_millis(700)),
        keep_alive: PATIENCE,
        recheck: Duration::from_mins(1),
        ..Setup::default()
    })
    .await;
    let mut client = Client::ready(&toy).await;
    client.subscribe("x", "subscription { silence }").await;
    assert_eq!(
        client.closed().await,
        (4401, "The token has expired or was revoked".to_owned())
    );
}
