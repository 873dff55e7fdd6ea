//! The `graphql-transport-ws` protocol over one websocket.
//!
//! One task per connection polls everything: the socket, all running operations, the clocks.
//! Nothing is spawned, so dropping the connection drops its work. A client that stops reading
//! holds back its own operations only, and is let go after a while.

mod message;

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Response as GraphqlResponse;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{self, AbortHandle, Abortable, BoxStream, SelectAll};
use tokio::time::{Duration, Instant, Interval, sleep_until, timeout};

use super::asked::from_value;
use super::body::BODY_BYTES_MAX;
use super::sse::ticks;
use super::streams::StreamPlace;
use super::tokens::TokenLife;
use super::{Engine, Transport, errors, errors_of};
use crate::api::errors::{clean, is_request_error};
use crate::api::guard::Credential as _;
use crate::api::guard::bearer::{AuthError, Known, parse_bearer};
use crate::api::guard::request_id;
use crate::api::refused::Refused;
use message::{ClientMessage, Close, Outgoing};

const SUBPROTOCOL: &str = "graphql-transport-ws";
/// Operations that one connection may run at once; a console page shows a dozen.
const OPERATIONS_MAX: usize = 50;
/// Read buffer of one connection. Most say one short message and then nothing for hours, so the default of 128 KiB would
/// be nine tenths of what a subscriber costs; longer messages are read in more pieces.
const READ_BUFFER_BYTES: usize = 1024;
/// Messages waiting for a slow reader.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Silent keep-alive periods after which a peer counts as gone.
const SILENT_PERIODS_MAX: u32 = 3;
/// How long a closed connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Takes over the connection of a websocket handshake.
pub(super) async fn upgrade<E: Engine>(transport: Arc<Transport<E>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    if !transport.origins.allow(&parts.headers) {
        return Refused::new(
            StatusCode::FORBIDDEN,
            "ORIGIN_NOT_ALLOWED",
            "this page may not connect: its origin is neither the host that was asked nor that of `public_url`",
        )
        .into_response();
    }
    let from_header = parts.extensions.get::<Known<E::Caller>>().cloned();
    // errors of its operations name the request that the answer to the handshake names
    let id = request_id::current();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade
            .protocols([SUBPROTOCOL])
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(BODY_BYTES_MAX)
            .max_frame_size(BODY_BYTES_MAX)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .on_upgrade(move |socket| request_id::scope(id, serve(Box::new(socket), transport, from_header))),
        Err(rejection) => Refused::bad_request(rejection.to_string()).into_response(),
    }
}

/// The socket is boxed, for a future keeps a place for what it is called with beside the one where it works with it.
async fn serve<E: Engine>(
    mut socket: Box<WebSocket>,
    transport: Arc<Transport<E>>,
    from_header: Option<Known<E::Caller>>,
) {
    let last_words = transport.times.last_words;
    let close = if socket
        .protocol()
        .is_some_and(|protocol| protocol.as_bytes() == SUBPROTOCOL.as_bytes())
    {
        let mut connection = Connection {
            keep_alive: ticks(transport.times.keep_alive),
            init_deadline: Instant::now() + transport.times.init,
            heard: Instant::now(),
            transport,
            from_header,
            known: None,
            token: None,
            place: None,
            operations: SelectAll::new(),
            handles: HashMap::new(),
        };
        connection.run(&mut socket).await
    } else {
        Some(Close::SUBPROTOCOL_NOT_ACCEPTABLE)
    };
    if let Some(close) = close {
        // what was sent before has to be read first
        let patience = if close == Close::SLOW { last_words } else { GOODBYE };
        Box::pin(say_goodbye(*socket, close, patience)).await;
    }
}

async fn say_goodbye(mut socket: WebSocket, close: Close, patience: Duration) {
    let frame = CloseFrame {
        code: close.code,
        reason: close.reason.into_owned().into(),
    };
    if let Ok(Ok(())) = timeout(patience, socket.send(Message::Close(Some(frame)))).await {
        // unread data would turn the close into a reset that swallows the frame
        until_closed(&mut socket).await;
    }
}

/// Reads to the end of a connection that one side has closed. This is also what sends our answer to the peer's
/// close frame, without which it takes the connection for broken (1006).
async fn until_closed(socket: &mut WebSocket) {
    let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = timeout(GOODBYE, rest).await;
}

type Operation = Abortable<BoxStream<'static, (Arc<str>, Step)>>;

enum Step {
    Result(Box<GraphqlResponse>),
    End,
}

enum Turn {
    Heard(Option<Result<Message, axum::Error>>),
    Step(Arc<str>, Step),
    InitTimeout,
    KeepAlive,
    TokenEnded,
    Drain,
}

struct Connection<E: Engine> {
    transport: Arc<Transport<E>>,
    from_header: Option<Known<E::Caller>>,
    /// Set by the acknowledged `connection_init`.
    known: Option<Known<E::Caller>>,
    /// Followed from then on.
    token: Option<TokenLife>,
    /// Taken with it.
    place: Option<StreamPlace>,
    operations: SelectAll<Operation>,
    handles: HashMap<Arc<str>, AbortHandle>,
    init_deadline: Instant,
    heard: Instant,
    keep_alive: Interval,
}

/// The socket is to be closed, with or without words.
type Ended = Option<Close>;

impl<E: Engine> Connection<E> {
    /// Serves until one side ends it; `None` if the peer is gone already.
    async fn run(&mut self, socket: &mut WebSocket) -> Ended {
        let mut draining = self.transport.draining.clone();
        loop {
            let acknowledged = self.known.is_some();
            let turn = tokio::select! {
                heard = socket.recv() => Turn::Heard(heard),
                Some((id, step)) = self.operations.next(), if !self.operations.is_empty() => Turn::Step(id, step),
                () = sleep_until(self.init_deadline), if !acknowledged => Turn::InitTimeout,
                _ = self.keep_alive.tick() => Turn::KeepAlive,
                () = ended(&mut self.token) => Turn::TokenEnded,
                () = draining.begun() => Turn::Drain,
            };
            let outcome = match turn {
                // boxed, for a connection waits nearly always, and what answers a message is larger than all else
                Turn::Heard(Some(Ok(message))) => Box::pin(self.hear(socket, message)).await,
                Turn::Heard(None) => Err(None),
                Turn::Heard(Some(Err(_))) => Err(Some(Close::UNREADABLE)),
                Turn::Step(id, step) => self.pass_on(socket, &id, step).await,
                Turn::InitTimeout => Err(Some(Close::INIT_TIMEOUT)),
                Turn::KeepAlive => self.keep_alive(socket).await,
                Turn::TokenEnded => Err(Some(Close::TOKEN_ENDED)),
                Turn::Drain => Err(Some(Close::GOING_AWAY)),
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    async fn hear(&mut self, socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Some(Close::bad("messages are text"))),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => {
                until_closed(socket).await;
                return Err(None);
            }
        };
        match message::parse(text.as_str()).map_err(|reason| Some(Close::bad(&reason)))? {
            ClientMessage::Init { authorization } => self.init(socket, authorization).await,
            ClientMessage::Ping => self.send(socket, Outgoing::Pong).await,
            ClientMessage::Pong => Ok(()),
            ClientMessage::Subscribe { id, payload } => self.subscribe(socket, id, payload).await,
            ClientMessage::Complete { id } => {
                if let Some(handle) = self.handles.remove(id.as_str()) {
                    handle.abort();
                }
                Ok(())
            }
        }
    }

    async fn init(&mut self, socket: &mut WebSocket, authorization: Option<String>) -> Result<(), Ended> {
        if self.known.is_some() {
            return Err(Some(Close::TOO_MANY_INITS));
        }
        let known = match authorization {
            Some(value) => {
                let token = parse_bearer(&value).map_err(|_| Some(Close::FORBIDDEN))?;
                let caller =
                    self.transport
                        .engine
                        .authenticate(&token)
                        .await
                        .map_err(|error| match error {
                            AuthError::Refused => Some(Close::FORBIDDEN),
                            AuthError::Unavailable(_) => Some(Close::TRY_LATER),
                        })?;
                Known {
                    caller,
                    token: Arc::new(token),
                }
            }
            None => self.from_header.take().ok_or(Some(Close::FORBIDDEN))?,
        };
        let place = self.transport.streams.take(known.caller.account());
        self.place = Some(place.map_err(|_| Some(Close::TOO_MANY_STREAMS))?);
        let period = self.transport.times.recheck;
        let (tokens, engine) = (&self.transport.tokens, &self.transport.engine);
        self.token = Some(tokens.follow(engine, &known, period));
        self.known = Some(known);
        self.send(socket, Outgoing::Ack).await
    }

    async fn subscribe(
        &mut self,
        socket: &mut WebSocket,
        id: String,
        payload: async_graphql::Value,
    ) -> Result<(), Ended> {
        let Some(known) = self.known.clone() else {
            return Err(Some(Close::UNAUTHORIZED));
        };
        if self.handles.contains_key(id.as_str()) {
            return Err(Some(Close::already(&id)));
        }
        let running = self.handles.len();
        match start(&self.transport, &known, running, payload).await {
            Ok(results) => {
                self.run_operation(id.into(), results);
                Ok(())
            }
            Err(response) => {
                let response = &clean(*response);
                self.send(socket, Outgoing::Error { id: &id, response }).await
            }
        }
    }

    fn run_operation(&mut self, id: Arc<str>, results: BoxStream<'static, GraphqlResponse>) {
        let label = Arc::clone(&id);
        let steps = results
            .map(|response| Step::Result(Box::new(response)))
            .chain(stream::iter([Step::End]))
            .map(move |step| (Arc::clone(&label), step))
            .boxed();
        let (handle, registration) = AbortHandle::new_pair();
        self.operations.push(Abortable::new(steps, registration));
        self.handles.insert(id, handle);
    }

    async fn pass_on(&mut self, socket: &mut WebSocket, id: &Arc<str>, step: Step) -> Result<(), Ended> {
        match step {
            Step::Result(response) => {
                let response = clean(*response);
                if is_request_error(&response) {
                    self.stop(id);
                    return self
                        .send(
                            socket,
                            Outgoing::Error {
                                id,
                                response: &response,
                            },
                        )
                        .await;
                }
                self.send(
                    socket,
                    Outgoing::Next {
                        id,
                        response: &response,
                    },
                )
                .await
            }
            Step::End => {
                self.stop(id);
                self.send(socket, Outgoing::Complete { id }).await
            }
        }
    }

    fn stop(&mut self, id: &str) {
        if let Some(handle) = self.handles.remove(id) {
            handle.abort();
        }
    }

    async fn keep_alive(&mut self, socket: &mut WebSocket) -> Result<(), Ended> {
        if self.heard.elapsed() > self.transport.times.keep_alive * SILENT_PERIODS_MAX {
            return Err(Some(Close::SILENT));
        }
        // a websocket ping, not a protocol one: every library answers it by itself
        self.send_message(socket, Message::Ping(bytes::Bytes::new()))
            .await
    }

    async fn send(&mut self, socket: &mut WebSocket, outgoing: Outgoing<'_>) -> Result<(), Ended> {
        self.send_message(socket, Message::Text(outgoing.to_text().into()))
            .await
    }

    async fn send_message(&mut self, socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
        match timeout(self.transport.times.send, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => {
                metrics::counter!("tamiz_slow_consumers_total").increment(1);
                Err(Some(Close::SLOW))
            }
        }
    }
}

/// The results of the operation in `payload` on a connection with so many `running`, or why it does not start.
async fn start<E: Engine>(
    transport: &Transport<E>,
    known: &Known<E::Caller>,
    running: usize,
    payload: async_graphql::Value,
) -> Result<BoxStream<'static, GraphqlResponse>, Box<GraphqlResponse>> {
    if running >= OPERATIONS_MAX {
        return Err(Box::new(errors(
            "TOO_MANY_OPERATIONS",
            format!("this connection runs {OPERATIONS_MAX} operations already, which is the limit"),
        )));
    }
    let refused = |refused| Box::new(errors_of(&refused));
    transport.count(&known.caller).await.map_err(refused)?;
    let asked = from_value(payload).map_err(refused)?;
    let admitted = transport.admit(&known.caller, asked);
    let admitted = admitted.map_err(|error| Box::new(GraphqlResponse::from_errors(vec![error])))?;
    let cost = transport.engine.pay(&known.caller, admitted.points).await;
    let cost = cost.map_err(refused)?;
    Ok(transport.results(&known.caller, admitted, cost))
}

/// Resolves when the token of the connection has ended; never before it has one.
async fn ended(token: &mut Option<TokenLife>) {
    match token {
        Some(token) => token.ended().await,
        None => std::future::pending().await,
    }
}
