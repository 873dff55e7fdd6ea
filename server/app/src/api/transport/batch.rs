//! Several operations of one HTTP request, where an operator allows it: answered one after the other, each counted
//! and paid like a request of its own. A subscription has no place here.

use async_graphql::Response as GraphqlResponse;
use async_graphql::parser::types::OperationType;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt as _;

use super::accept::MediaType;
use super::asked::Asked;
use super::http::{to_json, write};
use super::{Engine, Transport, errors_of};
use crate::api::errors::clean;
use crate::api::refused::Refused;

/// Answers `batch` as a JSON list, in its order.
pub(super) async fn answer<E: Engine>(
    transport: &Transport<E>,
    caller: &E::Caller,
    batch: Vec<Asked>,
    media_type: MediaType,
) -> Result<Response, Refused> {
    if media_type == MediaType::EventStream {
        return Err(Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "a batch is answered as JSON, not as events",
        ));
    }
    let mut answers = Vec::with_capacity(batch.len());
    for (place, asked) in batch.into_iter().enumerate() {
        // the first one was counted as the HTTP request
        let counted = if place == 0 {
            Ok(())
        } else {
            transport.count(caller).await
        };
        let response = match counted {
            Ok(()) => one(transport, caller, asked).await,
            Err(refused) => errors_of(&refused),
        };
        answers.push(to_json(&clean(response)));
    }
    let body = format!("[{}]", answers.join(","));
    Ok(write(StatusCode::OK, media_type, body))
}

async fn one<E: Engine>(transport: &Transport<E>, caller: &E::Caller, asked: Asked) -> GraphqlResponse {
    let admitted = match transport.admit(caller, asked) {
        Ok(admitted) => admitted,
        Err(error) => return GraphqlResponse::from_errors(vec![error]),
    };
    if admitted.operation == OperationType::Subscription {
        let message = "a subscription needs a stream of its own: it has no place in a batch";
        return super::errors("SUBSCRIPTION_NEEDS_STREAM", message.to_owned());
    }
    match transport.engine.pay(caller, admitted.points).await {
        Ok(cost) => {
            let mut results = transport.results(caller, admitted, cost);
            results.next().await.unwrap_or_default()
        }
        Err(refused) => errors_of(&refused),
    }
}
