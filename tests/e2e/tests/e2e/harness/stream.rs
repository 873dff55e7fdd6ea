//! Subscriptions as clients have them: server-sent events and `graphql-transport-ws`.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::{Client, EVENTS};
use super::wait::PATIENCE;

/// A stream that is longer is not of one task.
const FOLLOWED: Duration = PATIENCE;

/// What a stream says.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// One result: its whole payload.
    Next(Value),
    /// The subscription was refused: its errors.
    Refused(Value),
    /// Nothing follows.
    Complete,
    /// The line is dead.
    Broken,
}

/// Server-sent events of one subscription.
pub(crate) struct EventStream {
    response: reqwest::Response,
    unread: String,
}

impl EventStream {
    pub(crate) async fn open(client: &Client, document: &str, variables: Value) -> Self {
        let body = json!({ "query": document, "variables": variables });
        let request = client
            .request(Method::POST, "/graphql")
            .header(ACCEPT, "text/event-stream")
            .json(&body);
        let response = request.timeout(FOLLOWED).send().await.expect("an answer");
        let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        assert!(
            kind.starts_with("text/event-stream"),
            "{} {kind}",
            response.status()
        );
        Self {
            response,
            unread: String::new(),
        }
    }

    pub(crate) async fn next(&mut self) -> Said {
        loop {
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.unread = rest;
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
                };
                match field("event:").as_deref() {
                    Some("next") => {
                        let data = field("data:").expect("data");
                        return Said::Next(serde_json::from_str(&data).expect("JSON"));
                    }
                    Some("complete") => return Said::Complete,
                    // a sign of life
                    _ => {}
                }
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => {
                    self.unread
                        .push_str(std::str::from_utf8(&piece).expect("events come in whole frames"));
                }
                Ok(None) | Err(_) => return Said::Broken,
            }
        }
    }

    /// The next event of a task; `None` at the end.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        match self.next().await {
            Said::Next(payload) => Some(event_of(payload)),
            Said::Complete => None,
            other => panic!("the stream says {other:?}"),
        }
    }

    /// The events up to the end.
    pub(crate) async fn rest(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }
}

fn event_of(mut payload: Value) -> Value {
    assert!(payload.get("errors").is_none(), "{payload:#}");
    payload["data"]["taskEvents"].take()
}

/// A websocket that speaks `graphql-transport-ws`.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn open(client: &Client) -> Self {
        let mut socket = Self::greeting(client).await;
        assert_eq!(socket.hear().await.expect("an answer")["type"], "connection_ack");
        socket
    }

    /// The code with which a client is refused at its hello.
    pub(crate) async fn refusal(client: &Client) -> u16 {
        let mut socket = Self::greeting(client).await;
        loop {
            let message = timeout(FOLLOWED, socket.stream.next()).await.expect("in time");
            match message.expect("a goodbye").expect("a goodbye") {
                Message::Close(frame) => return frame.expect("a reason").code.into(),
                Message::Text(text) => panic!("no refusal: {text}"),
                _ => {}
            }
        }
    }

    /// A websocket that has said hello and heard nothing yet.
    async fn greeting(client: &Client) -> Self {
        let address = client.address().replacen("http", "ws", 1);
        let mut request = format!("{address}/graphql")
            .into_client_request()
            .expect("a request");
        let protocol = "graphql-transport-ws".parse().expect("a header");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let (stream, _) = connect_async(request).await.expect("a websocket");
        let mut socket = Self { stream };
        let authorization = format!("Bearer {}", client.token());
        let init = json!({ "type": "connection_init", "payload": { "Authorization": authorization } });
        socket.say(&init).await;
        socket
    }

    async fn say(&mut self, message: &Value) {
        self.stream
            .send(Message::text(message.to_string()))
            .await
            .expect("sent");
    }

    /// The next message; `None` when the line is dead.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            match timeout(FOLLOWED, self.stream.next())
                .await
                .expect("a message in time")
            {
                Some(Ok(Message::Text(text))) => {
                    return Some(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, id: &str, document: &str, variables: Value) {
        let payload = json!({ "query": document, "variables": variables });
        self.say(&json!({ "type": "subscribe", "id": id, "payload": payload }))
            .await;
    }

    /// Follows a task's events.
    pub(crate) async fn follow(&mut self, task: &str, after: i64) {
        self.subscribe(task, EVENTS, json!({ "task": task, "after": after }))
            .await;
    }

    /// The next thing said about any subscription, and its id; an empty id when the line is dead.
    pub(crate) async fn next_of_any(&mut self) -> (String, Said) {
        loop {
            let Some(mut message) = self.hear().await else {
                return (String::new(), Said::Broken);
            };
            let id = message["id"].as_str().unwrap_or_default().to_owned();
            match message["type"].as_str() {
                Some("next") => return (id, Said::Next(message["payload"].take())),
                Some("error") => return (id, Said::Refused(message["payload"].take())),
                Some("complete") => return (id, Said::Complete),
                _ => {}
            }
        }
    }

    /// The next thing said about the only subscription.
    pub(crate) async fn next(&mut self) -> Said {
        self.next_of_any().await.1
    }

    /// The next event of the only task that is followed; `None` at the end.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        match self.next().await {
            Said::Next(payload) => Some(event_of(payload)),
            Said::Complete => None,
            other => panic!("the socket says {other:?}"),
        }
    }
}
