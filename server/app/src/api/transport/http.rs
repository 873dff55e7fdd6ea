//! GraphQL over HTTP: one handler that reads, admits, runs and answers, or hands over to the event
//! stream or the websocket.
//!
//! GET runs queries only; mutations need POST with `application/json`, which no form of another
//! page can send.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request as GraphqlRequest, Response as GraphqlResponse, ServerError};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::accept::{MediaType, negotiate};
use super::{Engine, QUERY_TIMEOUT, Transport, body, idempotency, sse, too_slow, websocket};
use crate::api::cost::admit;
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
    let mut request = if by_get {
        body::read_get(parts.uri.query().unwrap_or_default())?
    } else {
        tokio::time::timeout(
            transport.times.body,
            body::read_post(&parts.headers, request_body),
        )
        .await
        .map_err(|_| {
            Refused::new(
                StatusCode::REQUEST_TIMEOUT,
                "BODY_TIMEOUT",
                "the body did not arrive in time",
            )
        })??
    };
    let operation = match admit(&mut request, transport.engine.prices()) {
        Ok(operation) => operation,
        Err(error) => return Ok(request_error(media_type, error)),
    };
    if by_get && operation == OperationType::Mutation {
        return Err(Refused::method("POST"));
    }
    if operation == OperationType::Mutation {
        idempotency::attach(&parts.headers, &mut request)?;
    }
    match (media_type, operation) {
        (MediaType::EventStream, _) => sse::answer(&transport, known, request, operation),
        (_, OperationType::Subscription) => Err(Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            "SUBSCRIPTION_NEEDS_STREAM",
            "a subscription needs `Accept: text/event-stream` or a websocket",
        )),
        _ => Ok(run(&transport, &known.caller, request, media_type).await),
    }
}

async fn run<E: Engine>(
    transport: &Transport<E>,
    caller: &E::Caller,
    request: GraphqlRequest,
    media_type: MediaType,
) -> Response {
    let execution = transport.engine.execute(caller, request);
    match tokio::time::timeout(transport.times.execution, execution).await {
        Ok(response) => {
            let response = clean(response);
            // a request error under the newer media type says so in its status
            let status = match media_type {
                MediaType::GraphqlResponse if is_request_error(&response) => StatusCode::BAD_REQUEST,
                _ => StatusCode::OK,
            };
            let status = idempotency::status_of(&response).unwrap_or(status);
            let mut answer = write(status, media_type, to_json(&response));
            answer.headers_mut().extend(response.http_headers);
            answer
        }
        Err(_) => Refused::new(
            StatusCode::GATEWAY_TIMEOUT,
            QUERY_TIMEOUT,
            too_slow(transport.times.execution),
        )
        .into_response(),
    }
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

fn write(status: StatusCode, media_type: MediaType, body: String) -> Response {
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type.content_type()));
    response
}

/// The response as JSON; `data` is absent where nothing was run.
pub(super) fn to_json(response: &GraphqlResponse) -> String {
    let text = if is_request_error(response) {
        serde_json::to_string(&json!({ "errors": response.errors }))
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
