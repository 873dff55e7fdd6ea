//! GraphQL on the wire: HTTP, server-sent events and websockets around any engine.
//!
//! These are own thin handlers instead of `async-graphql-axum`'s, whose defaults fail the protocol
//! suites and read forged and unbounded requests (FACTS.md). Every way in ends in the same three
//! steps: read a bounded request, [`crate::api::cost::admit`] it, hand it to the [`Engine`].
//!
//! Not here: what the schema is, and who may ask it.

mod accept;
mod asked;
mod batch;
mod body;
mod compression;
mod documents;
mod etag;
mod http;
mod idempotency;
mod json;
mod origin;
mod sse;
mod streams;
mod tokens;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{ErrorExtensionValues, Request, Response, ServerError, Value};
use axum::Router;
use axum::routing::any;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::cost::{Cost, Prices, admit};
use super::guard::{Authenticate, Credential as _, RateKey, RateLimit};
use super::refused::Refused;
use asked::Asked;
use documents::Found;
pub use documents::{Documents, ManifestError, TrustedDocuments};
pub use origin::Origins;
pub use streams::Streams;
pub use tokens::Tokens;

/// What answers GraphQL requests.
pub trait Engine: Authenticate {
    /// Runs a query or a mutation.
    fn execute(&self, caller: &Self::Caller, request: Request) -> impl Future<Output = Response> + Send;

    /// Runs any operation as a stream of results; it ends when the operation is complete.
    fn stream(&self, caller: &Self::Caller, request: Request) -> BoxStream<'static, Response>;

    /// What its fields cost.
    fn prices(&self) -> &Prices;

    /// Pays an operation of so many `points` from the budget of the caller's tenant, over all servers.
    ///
    /// # Errors
    /// The answer to a tenant that cannot pay it now.
    fn pay(&self, caller: &Self::Caller, points: u32) -> impl Future<Output = Result<Cost, Refused>> + Send;
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
    /// It is told why if it reads again within this time.
    pub last_words: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            execution: Duration::from_secs(30),
            body: Duration::from_secs(30),
            init: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            recheck: Duration::from_secs(4),
            send: Duration::from_secs(20),
            last_words: Duration::from_secs(5),
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
    /// The tokens of those that are taken.
    pub tokens: Tokens,
    /// Documents that are known by their hashes.
    pub documents: Documents,
    /// Operations of one HTTP request; 0 refuses lists of them.
    pub batch_max: usize,
}

/// An operation that was let in.
struct Admitted {
    request: Request,
    operation: OperationType,
    points: u32,
    /// Whether its document was known by its hash.
    is_known: bool,
}

impl<E: Engine> Transport<E> {
    /// Finds the document that was asked for and weighs it.
    fn admit(&self, caller: &E::Caller, mut asked: Asked) -> Result<Admitted, ServerError> {
        let account = caller.account();
        let found = self.documents.find(account, &mut asked)?;
        let mut request = asked.request;
        let admission = admit(&mut request, self.engine.prices())?;
        if let Found::New(hash) = found {
            self.documents.keep(account, hash, &request.query);
        }
        Ok(Admitted {
            request,
            operation: admission.operation,
            points: admission.points,
            is_known: found != Found::Said,
        })
    }

    /// Counts an operation that is not an HTTP request of its own.
    async fn count(&self, caller: &E::Caller) -> Result<(), Refused> {
        let key = RateKey::Token(caller.token_id());
        self.per_token.count(key).map_err(Refused::too_many)?;
        self.engine.count(caller).await
    }

    /// The results of what was admitted and paid. A query or mutation has as long as over plain HTTP, a
    /// subscription as long as it likes.
    fn results(&self, caller: &E::Caller, admitted: Admitted, cost: Cost) -> BoxStream<'static, Response> {
        if admitted.operation == OperationType::Subscription {
            let mut untold = Some(cost);
            let results = self.engine.stream(caller, admitted.request);
            return results
                .map(move |mut response| {
                    if let Some(cost) = untold.take() {
                        cost.tell(&mut response);
                    }
                    response
                })
                .boxed();
        }
        let (engine, caller, limit) = (self.engine.clone(), caller.clone(), self.times.execution);
        let answer = async move {
            let execution = engine.execute(&caller, admitted.request);
            let mut response = tokio::time::timeout(limit, execution)
                .await
                .unwrap_or_else(|_| errors(QUERY_TIMEOUT, too_slow(limit)));
            cost.tell(&mut response);
            response
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

/// The same of a refused request, inside a stream or a batch.
fn errors_of(refused: &Refused) -> Response {
    let mut response = errors(refused.code(), refused.message().to_owned());
    let extensions = response
        .errors
        .iter_mut()
        .filter_map(|error| error.extensions.as_mut());
    for extensions in extensions {
        for (name, value) in refused.details() {
            let value = Value::from_json(value.clone()).unwrap_or_default();
            extensions.set(name, value);
        }
    }
    response
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
        .layer(compression::layer())
        .with_state(Arc::new(transport))
}

#[cfg(test)]
mod tests;
