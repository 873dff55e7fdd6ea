//! The messages of `graphql-transport-ws` and its close codes.

use std::borrow::Cow;

use async_graphql::{Response, Value};

use crate::api::transport::http::to_json;
use crate::api::transport::json;

/// An operation's id, in bytes; clients send a UUID or a counter.
const ID_BYTES_MAX: usize = 128;
/// A close frame holds 123 bytes of reason.
const REASON_BYTES_MAX: usize = 120;

/// What a client may say.
#[derive(Debug)]
pub(super) enum ClientMessage {
    Init { authorization: Option<String> },
    Ping,
    Pong,
    Subscribe { id: String, payload: Value },
    Complete { id: String },
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: Cow<'static, str>,
}

macro_rules! close {
    ($($name:ident = $code:literal $reason:literal;)*) => {
        impl Close { $(pub(super) const $name: Self = Self { code: $code, reason: Cow::Borrowed($reason) };)* }
    };
}

close! {
    GOING_AWAY = 1001 "The server is going away";
    UNREADABLE = 1009 "Unreadable or too large";
    TRY_LATER = 1013 "The token could not be checked, try again later";
    TOO_MANY_STREAMS = 1013 "Too many open streams, try again later";
    UNAUTHORIZED = 4401 "Unauthorized";
    TOKEN_ENDED = 4401 "The token has expired or was revoked";
    FORBIDDEN = 4403 "Forbidden";
    SLOW = 4410 "Messages were not read in time, come back for the rest";
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406 "Subprotocol not acceptable";
    INIT_TIMEOUT = 4408 "Connection initialisation timeout";
    SILENT = 4408 "No sign of life";
    TOO_MANY_INITS = 4429 "Too many initialisation requests";
}

impl Close {
    /// 4400: the client broke the protocol.
    pub(super) fn bad(reason: &str) -> Self {
        Self {
            code: 4400,
            reason: tamiz_core::text::cut(reason, REASON_BYTES_MAX).to_owned().into(),
        }
    }

    /// 4409: the id runs already.
    pub(super) fn already(id: &str) -> Self {
        let id = tamiz_core::text::cut(id, REASON_BYTES_MAX / 2);
        Self {
            code: 4409,
            reason: format!("Subscriber for {id} already exists").into(),
        }
    }
}

/// Reads one message; the error is the reason to close with 4400.
pub(super) fn parse(text: &str) -> Result<ClientMessage, String> {
    let value = json::read(text.as_bytes()).map_err(|_| "messages are JSON objects".to_owned())?;
    let Value::Object(mut object) = value else {
        return Err("messages are JSON objects".to_owned());
    };
    let Some(Value::String(kind)) = object.swap_remove("type") else {
        return Err("a message has a `type`".to_owned());
    };
    let payload = object.swap_remove("payload");
    let mut id = || match object.swap_remove("id") {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= ID_BYTES_MAX => Ok(id),
        _ => Err(format!("`id` is a string of 1 to {ID_BYTES_MAX} bytes")),
    };
    match kind.as_str() {
        "connection_init" => match payload {
            None | Some(Value::Null) => Ok(ClientMessage::Init { authorization: None }),
            Some(Value::Object(payload)) => Ok(ClientMessage::Init {
                authorization: payload.into_iter().find_map(|(name, value)| match value {
                    Value::String(value) if name.eq_ignore_ascii_case("authorization") => Some(value),
                    _ => None,
                }),
            }),
            Some(_) => Err("the payload of connection_init is an object".to_owned()),
        },
        "ping" | "pong" if !matches!(payload, None | Some(Value::Null | Value::Object(_))) => {
            Err("the payload of ping and pong is an object".to_owned())
        }
        "ping" => Ok(ClientMessage::Ping),
        "pong" => Ok(ClientMessage::Pong),
        "subscribe" => {
            let id = id()?;
            match payload {
                Some(payload @ Value::Object(_)) => {
                    check_subscribe(&payload).map(|()| ClientMessage::Subscribe { id, payload })
                }
                _ => Err("the payload of subscribe is an object".to_owned()),
            }
        }
        "complete" => Ok(ClientMessage::Complete { id: id()? }),
        _ => Err("unknown message type".to_owned()),
    }
}

/// The protocol wants 4400 for a payload of the wrong shape, before anything is run.
fn check_subscribe(payload: &Value) -> Result<(), String> {
    let Value::Object(object) = payload else {
        return Ok(());
    };
    match object.get("query") {
        Some(Value::String(_)) => Ok(()),
        None if object.contains_key("documentId") || object.contains_key("extensions") => Ok(()),
        _ => Err("the payload of subscribe has a string `query`, or names a document".to_owned()),
    }
}

/// What the server says.
pub(super) enum Outgoing<'a> {
    Ack,
    Pong,
    Next { id: &'a str, response: &'a Response },
    Error { id: &'a str, response: &'a Response },
    Complete { id: &'a str },
}

impl Outgoing<'_> {
    /// As a text frame.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Ack => r#"{"type":"connection_ack"}"#.to_owned(),
            Self::Pong => r#"{"type":"pong"}"#.to_owned(),
            Self::Next { id, response } => {
                format!(
                    r#"{{"id":{},"type":"next","payload":{}}}"#,
                    quoted(id),
                    to_json(response)
                )
            }
            Self::Error { id, response } => {
                let errors = serde_json::to_string(&response.errors).unwrap_or_else(|_| "[]".to_owned());
                format!(r#"{{"id":{},"type":"error","payload":{errors}}}"#, quoted(id))
            }
            Self::Complete { id } => format!(r#"{{"id":{},"type":"complete"}}"#, quoted(id)),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
