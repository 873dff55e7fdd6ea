//! Requests with an idempotency key, as the engine runs them.
//!
//! The key comes in the request's `extensions` as [`EXTENSION`]; over HTTP the transport puts the header
//! `Idempotency-Key` there. The mutation runs on a task of its own: a client that hangs up, which is who sends a request
//! again, still finds its answer.

use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, OperationType};
use async_graphql::{Error, ErrorExtensionValues, Request, Response, Value};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use tamiz_store::token::Caller;
use tracing::Instrument as _;

use super::Graph;
use crate::api::errors::{ApiError, clean, log_fault};
use crate::api::refused::seconds_until;
use crate::flow::idempotency::{KeyError, RUN_TIME_MAX, Turn, begin, finish};

/// The member of a request's `extensions` that holds its key.
pub const EXTENSION: &str = "idempotencyKey";
/// On an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// When a request that is being carried out may be asked for again.
const IN_USE_PAUSE: Duration = Duration::from_secs(1);

/// The key of `request`, if it has one and is a mutation.
pub(super) fn key_of(request: &mut Request) -> Option<Result<String, KeyError>> {
    let key = request.extensions.0.remove(EXTENSION)?;
    if !is_mutation(request) {
        return None;
    }
    Some(match key {
        Value::String(key) => Ok(key),
        _ => Err(KeyError::Invalid),
    })
}

fn is_mutation(request: &mut Request) -> bool {
    let name = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else {
        return false;
    };
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name.as_str()),
        (DocumentOperations::Multiple(operations), None) => operations.values().next(),
    };
    operation.is_some_and(|operation| operation.node.ty == OperationType::Mutation)
}

/// What a request asks for: document, operation and variables, each with its length.
fn hash_of(request: &Request) -> Result<[u8; 32], serde_json::Error> {
    let variables = serde_json::to_value(&request.variables)?.to_string();
    let operation = request.operation_name.as_deref().unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [request.query.as_str(), operation, &variables] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(hash.finalize().into())
}

/// Carries the mutation out, or answers what was answered.
pub(super) async fn execute(
    graph: &Graph,
    caller: &Caller,
    key: Result<String, KeyError>,
    request: Request,
) -> Response {
    let key = match key {
        Ok(key) => key,
        Err(error) => return refused(error),
    };
    let hash = match hash_of(&request) {
        Ok(hash) => hash,
        Err(error) => return failed(ApiError::fault(&error).into()),
    };
    let scope = match begin(&graph.state.store, caller, &key, &hash).await {
        Ok(Turn::Run(scope)) => scope,
        Ok(Turn::Again(answer)) => return again(&answer),
        Err(error) => return refused(error),
    };
    let (graph, mut caller) = (graph.clone(), caller.clone());
    caller.scope = scope;
    let running = tokio::spawn(run(graph, caller, request).in_current_span());
    running
        .await
        .unwrap_or_else(|error| failed(ApiError::fault(&error).into()))
}

/// Runs the mutation in the scope of its key and keeps the answer.
async fn run(graph: Graph, caller: Caller, request: Request) -> Response {
    let session = graph.session(&caller);
    let execution = tokio::time::timeout(RUN_TIME_MAX, graph.run(&session, request)).await;
    let (response, answer) = match execution {
        Ok(response) => {
            let response = clean(response);
            let answer = serde_json::to_string(&response).ok();
            let answer = answer.filter(|_| !session.told_secret());
            (response, answer)
        }
        Err(_) => (refused(KeyError::UnknownOutcome), None),
    };
    if let Err(error) = finish(&graph.state.store, &caller.scope, answer.as_deref()).await {
        // the answer is right all the same; the key says that it is not known
        log_fault(&error);
    }
    response
}

/// What was answered before.
fn again(answer: &str) -> Response {
    let mut response: Response = match serde_json::from_str(answer) {
        Ok(response) => response,
        Err(error) => return failed(ApiError::fault(&error).into()),
    };
    let replayed = HeaderValue::from_static("true");
    response.http_headers.insert(REPLAYED, replayed);
    response
}

fn refused(error: KeyError) -> Response {
    let Some(code) = error.code() else {
        let KeyError::Store(error) = error else {
            return failed(ApiError::fault(&error).into());
        };
        return failed(ApiError::of_store(&error).into());
    };
    let wait = match &error {
        KeyError::InUse => Some(IN_USE_PAUSE.as_secs()),
        KeyError::TooMany { room_at } => Some(seconds_until(*room_at)),
        _ => None,
    };
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    let mut refusal = Error::new(error.to_string());
    refusal.extensions = Some(extensions);
    let mut response = failed(refusal);
    if let Some(wait) = wait {
        response.http_headers.insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

/// A response of one error that stands before any field.
fn failed(error: Error) -> Response {
    Response::from_errors(vec![error.into_server_error(async_graphql::Pos::default())])
}

#[cfg(test)]
mod tests {
    use async_graphql::Variables;
    use serde_json::json;

    use super::*;

    fn request(query: &str, variables: serde_json::Value) -> Request {
        let mut request = Request::new(query).variables(Variables::from_json(variables));
        let key = Value::from("a");
        request.extensions.0.insert(EXTENSION.to_owned(), key);
        request
    }

    #[test]
    fn a_key_counts_on_mutations_alone() {
        for (document, operation, counts) in [
            ("mutation { a }", None, true),
            ("query A { a } mutation B { b }", Some("B"), true),
            ("query A { a } mutation B { b }", Some("A"), false),
            ("{ a }", None, false),
            ("subscription { a }", None, false),
        ] {
            let mut request = request(document, json!({}));
            request.operation_name = operation.map(str::to_owned);
            let key = key_of(&mut request);
            assert_eq!(key.is_some(), counts, "{document} {operation:?}");
            assert!(key_of(&mut request).is_none(), "it is taken out");
        }
    }

    #[test]
    fn requests_are_the_same_where_all_that_is_asked_for_is() {
        let of = |query: &str, variables| hash_of(&request(query, variables)).unwrap();
        let one = of("mutation { a }", json!({ "a": { "x": 1, "y": 2 }, "b": 2 }));
        assert_eq!(
            one,
            of("mutation { a }", json!({ "b": 2, "a": { "y": 2, "x": 1 } }))
        );
        for (query, variables) in [
            ("mutation { b }", json!({ "a": { "x": 1, "y": 2 }, "b": 2 })),
            ("mutation { a }", json!({ "a": { "x": 1, "y": 3 }, "b": 2 })),
            ("mutation { a }", json!({})),
        ] {
            assert_ne!(one, of(query, variables.clone()), "{query} {variables}");
        }
    }
}
