//! A websocket as a client of `graphql-transport-ws` holds it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::toy::Toy;

/// No answer takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A client that says what it is told to and reads what comes; pings of the socket are answered unseen.
pub(super) struct Client(pub(super) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(super) async fn connect_with(toy: &Toy, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{}/graphql", toy.address)
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        connect_async(request).await.map(|(socket, _)| Self(socket))
    }

    pub(super) async fn connect(toy: &Toy) -> Self {
        Self::connect_with(toy, &[("sec-websocket-protocol", "graphql-transport-ws")])
            .await
            .unwrap()
    }

    /// Connected and acknowledged.
    pub(super) async fn ready(toy: &Toy) -> Self {
        let mut client = Self::connect(toy).await;
        client.init(&toy.token).await;
        assert_eq!(client.hear().await, json!({ "type": "connection_ack" }));
        client
    }

    pub(super) async fn init(&mut self, token: &str) {
        self.say(
            &json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } }),
        )
        .await;
    }

    pub(super) async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(super) async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(&json!({ "id": id, "type": "subscribe", "payload": { "query": query } }))
            .await;
    }

    pub(super) async fn next(&mut self) -> Message {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
                return message;
            }
        }
    }

    pub(super) async fn hear(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }
}
