//! GraphQL on the wire: HTTP, server-sent events and websockets around any engine.
//!
//! These are own thin handlers instead of `async-graphql-axum`'s, whose defaults fail the protocol
//! suites and read forged and unbounded requests (FACTS.md). Every way in ends in the same three
//! steps: read a bounded request, [`crate::api::cost::admit`] it, hand it to the [`Engine`].
//!
//! Not here: what the schema is, and who may ask it.

mod accept;
mod body;
mod http;
mod idempotency;
mod json;
mod origin;
mod sse;
mod streams;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{ErrorExtensionValues, Request, Response, ServerError};
use axum::Router;
use axum::routing::any;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::cost::Prices;
use super::guard::{Authenticate, RateLimit};
pub use origin::Origins;
pub use streams::Streams;

/// What answers GraphQL requests.
pub trait Engine: Authenticate {
    /// Runs a query or a mutation.
    fn execute(&self, caller: &Self::Caller, request: Request) -> impl Future<Output = Response> + Send;

    /// Runs any operation as a stream of results; it ends when the operation is complete.
    fn stream(&self, caller: &Self::Caller, request: Request) -> BoxStream<'static, Response>;

    /// What its fields cost.
    fn prices(&self) -> &Prices;
}

/// Times of the transport; the defaults are the product's, tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A query or mutation must have its answer.
    pub execution: Duration,
    /// A request body must have arrived.
    pub body: Duration,
    /// A websocket must have sent `connection_init`.
    pub init: Duration,
    /// Between two signs of life on a quiet stream; proxies cut connections at 60 s and less.
    pub keep_alive: Duration,
    /// Between two checks whether the token of a long connection still holds.
    pub recheck: Duration,
    /// A client that does not read what is sent is let go.
    pub send: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            execution: Duration::from_secs(30),
            body: Duration::from_secs(30),
            init: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            recheck: Duration::from_secs(15),
            send: Duration::from_secs(20),
        }
    }
}

/// What the handlers share.
#[derive(Clone)]
pub struct Transport<E> {
    /// Answers.
    pub engine: E,
    /// Counts websocket operations as if they were requests.
    pub per_token: RateLimit,
    /// Pages that may open a websocket.
    pub origins: Origins,
    /// When to give up.
    pub times: Times,
    /// Says when the server drains: long streams end.
    pub draining: Draining,
    /// Free places for event streams and websockets.
    pub streams: Streams,
}

impl<E: Engine> Transport<E> {
    /// The results of a request that was admitted as `operation`. A query or mutation has as long as
    /// over plain HTTP, a subscription as long as it likes.
    fn results(
        &self,
        caller: &E::Caller,
        request: Request,
        operation: OperationType,
    ) -> BoxStream<'static, Response> {
        if operation == OperationType::Subscription {
            return self.engine.stream(caller, request);
        }
        let (engine, caller, limit) = (self.engine.clone(), caller.clone(), self.times.execution);
        let answer = async move {
            let execution = engine.execute(&caller, request);
            tokio::time::timeout(limit, execution)
                .await
                .unwrap_or_else(|_| errors(QUERY_TIMEOUT, too_slow(limit)))
        };
        futures_util::stream::once(answer).boxed()
    }
}

/// The code of a query that was stopped.
const QUERY_TIMEOUT: &str = "QUERY_TIMEOUT";

fn too_slow(limit: Duration) -> String {
    let seconds = limit.as_secs();
    format!("the query was stopped after {seconds} s: ask for less at once")
}

/// A response of one error that stands before any field.
fn errors(code: &str, message: String) -> Response {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    let mut error = ServerError::new(message, None);
    error.extensions = Some(extensions);
    Response::from_errors(vec![error])
}

/// Tells long streams that the server is going away.
#[derive(Clone)]
pub struct Draining(tokio::sync::watch::Receiver<bool>);

impl Draining {
    /// Follows `sender`; `true` means that streams shall end.
    pub fn new(receiver: tokio::sync::watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Resolves when the server drains; never, if nobody can say so any more.
    pub async fn begun(&mut self) {
        if self.0.wait_for(|draining| *draining).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The one route `/graphql`, to be put behind [`super::guard::around_callers`].
pub fn routes<E: Engine>(transport: Transport<E>) -> Router {
    Router::new()
        .route("/graphql", any(http::handle::<E>))
        .with_state(Arc::new(transport))
}

#[cfg(test)]
mod tests;
