//! GraphQL over HTTP: one handler that reads, admits, runs and answers, or hands over to the event
//! stream or the websocket.
//!
//! GET runs queries only; mutations need POST with `application/json`, which no form of another
//! page can send.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response as GraphqlResponse, ServerError, Value};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::accept::{MediaType, negotiate};
use super::asked::Asked;
use super::body::Body;
use super::{
    Admitted, Engine, QUERY_TIMEOUT, Transport, batch, body, etag, idempotency, sse, too_slow, websocket,
};
use crate::api::cost::Cost;
use crate::api::errors::{clean, is_request_error};
use crate::api::guard::bearer::{Known, is_websocket_upgrade};
use crate::api::refused::Refused;

/// Answers everything that arrives at `/graphql`.
pub(super) async fn handle<E: Engine>(
    State(transport): State<Arc<Transport<E>>>,
    request: Request,
) -> Response {
    if is_websocket_upgrade(request.method(), request.headers()) {
        return websocket::upgrade(transport, request).await;
    }
    answer(transport, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer<E: Engine>(transport: Arc<Transport<E>>, request: Request) -> Result<Response, Refused> {
    let (parts, request_body) = request.into_parts();
    let known = parts
        .extensions
        .get::<Known<E::Caller>>()
        .cloned()
        .ok_or_else(|| Refused::unauthorized("send your API token in the `Authorization` header"))?;
    let by_get = match parts.method {
        Method::GET => true,
        Method::POST => false,
        _ => return Err(Refused::method("GET, POST")),
    };
    let media_type = negotiate(&parts.headers).ok_or_else(|| {
        Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "accept application/graphql-response+json, application/json or text/event-stream",
        )
    })?;
    if by_get {
        let asked = body::read_get(parts.uri.query().unwrap_or_default())?;
        return one(&transport, known, asked, media_type, By::Get(&parts.headers)).await;
    }
    let reading = body::read_post(&parts.headers, request_body, transport.batch_max);
    let body = tokio::time::timeout(transport.times.body, reading).await;
    let body = body.map_err(|_| {
        Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            "BODY_TIMEOUT",
            "the body did not arrive in time",
        )
    })??;
    match body {
        Body::One(asked) => one(&transport, known, *asked, media_type, By::Post(&parts.headers)).await,
        Body::Many(batch) => {
            idempotency::none_of_batch(&parts.headers)?;
            batch::answer(&transport, &known.caller, batch, media_type).await
        }
    }
}

/// How an operation came, with the headers of its request.
#[derive(Clone, Copy)]
enum By<'a> {
    Get(&'a HeaderMap),
    Post(&'a HeaderMap),
}

/// One operation.
async fn one<E: Engine>(
    transport: &Transport<E>,
    known: Known<E::Caller>,
    asked: Asked,
    media_type: MediaType,
    by: By<'_>,
) -> Result<Response, Refused> {
    let mut admitted = match transport.admit(&known.caller, asked) {
        Ok(admitted) => admitted,
        Err(error) => return Ok(request_error(media_type, error)),
    };
    if admitted.operation == OperationType::Mutation {
        match by {
            By::Get(_) => return Err(Refused::method("POST")),
            By::Post(headers) => idempotency::attach(headers, &mut admitted.request)?,
        }
    }
    if admitted.operation == OperationType::Subscription && media_type != MediaType::EventStream {
        return Err(Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            "SUBSCRIPTION_NEEDS_STREAM",
            "a subscription needs `Accept: text/event-stream` or a websocket",
        ));
    }
    let cost = transport.engine.pay(&known.caller, admitted.points).await?;
    if media_type == MediaType::EventStream {
        return sse::answer(transport, known, admitted, cost);
    }
    Ok(run(transport, &known.caller, admitted, cost, media_type, by).await)
}

async fn run<E: Engine>(
    transport: &Transport<E>,
    caller: &E::Caller,
    admitted: Admitted,
    cost: Cost,
    media_type: MediaType,
    by: By<'_>,
) -> Response {
    // what a shared document answers to a GET may be kept by the client, and asked for again by its tag
    let get = match by {
        By::Get(headers) if admitted.is_known => Some(headers),
        By::Get(_) | By::Post(_) => None,
    };
    let execution = transport.engine.execute(caller, admitted.request);
    let Ok(response) = tokio::time::timeout(transport.times.execution, execution).await else {
        let limit = transport.times.execution;
        return Refused::new(StatusCode::GATEWAY_TIMEOUT, QUERY_TIMEOUT, too_slow(limit)).into_response();
    };
    let mut response = clean(response);
    let headers = std::mem::take(&mut response.http_headers);
    let mut answer = match get {
        Some(get) if response.errors.is_empty() && response.extensions.is_empty() => {
            etag::answer(get, media_type, &response, &cost)
        }
        _ => {
            cost.tell(&mut response);
            // a request error under the newer media type says so in its status
            let status = match media_type {
                MediaType::GraphqlResponse if is_request_error(&response) => StatusCode::BAD_REQUEST,
                _ => StatusCode::OK,
            };
            let status = idempotency::status_of(&response).unwrap_or(status);
            write(status, media_type, to_json(&response))
        }
    };
    answer.headers_mut().extend(headers);
    answer
}

fn request_error(media_type: MediaType, error: ServerError) -> Response {
    let status = match media_type {
        MediaType::Json => StatusCode::OK,
        MediaType::GraphqlResponse | MediaType::EventStream => StatusCode::BAD_REQUEST,
    };
    let media_type = match media_type {
        MediaType::EventStream => MediaType::Json,
        other => other,
    };
    write(
        status,
        media_type,
        to_json(&clean(GraphqlResponse::from_errors(vec![error]))),
    )
}

pub(super) fn write(status: StatusCode, media_type: MediaType, body: String) -> Response {
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type.content_type()));
    response
}

/// A response whose operation was not run has no `data`.
#[derive(Serialize)]
struct NothingRun<'a> {
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

/// The response as JSON; `data` is absent where nothing was run.
pub(super) fn to_json(response: &GraphqlResponse) -> String {
    let text = if is_request_error(response) {
        serde_json::to_string(&NothingRun {
            errors: &response.errors,
            extensions: &response.extensions,
        })
    } else {
        serde_json::to_string(response)
    };
    text.unwrap_or_else(|error| {
        let id = crate::api::errors::log_fault(&error);
        json!({ "errors": [{
            "message": crate::api::errors::FAULT_MESSAGE,
            "extensions": { "code": crate::api::errors::INTERNAL, "id": id.to_string() },
        }] })
        .to_string()
    })
}
