//! How a resolver says no, and how it says that something broke.
//!
//! A refusal of a mutation is data in its payload; a refusal of a query (a bad cursor) is a GraphQL
//! error with the refusal's code. A fault is opaque: the client gets `INTERNAL` and an id, the log
//! gets the cause under that id, once, where [`ApiError::fault`] was called. [`clean`] is the net
//! below: an error that did not come this way never leaves with its text.

use std::error::Error as StdError;

use async_graphql::{Error, ErrorExtensionValues, Response, ServerError, Value};
use tamiz_core::{Refusal, RefusalCode};
use tamiz_store::StoreError;
use uuid::Uuid;

use super::guard::request_id;

/// The code of every fault.
pub const INTERNAL: &str = "INTERNAL";
/// What a client reads about a fault.
pub const FAULT_MESSAGE: &str = "something broke on our side; the operator finds the cause under the id";
/// Causes of causes that are logged; a cycle must not hang the log.
const CAUSES_MAX: usize = 16;
/// How the engine's own complaints about arguments begin; they quote the client, not us.
const ARGUMENT_COMPLAINTS: [&str; 2] = ["Failed to parse \"", "Expected input type \""];

/// Why a resolver has no answer. It is not an [`StdError`] on purpose: only so can it become an
/// [`async_graphql::Error`] with its own rule instead of by its text.
#[derive(Debug, Clone)]
pub enum ApiError {
    /// The asker can do something about it.
    Refused(Refusal),
    /// Logged already, under this id.
    Fault(Uuid),
}

impl ApiError {
    /// Logs `cause` with everything below it, once, and keeps only an id.
    pub fn fault(cause: &(dyn StdError + 'static)) -> Self {
        Self::Fault(log_fault(cause))
    }

    /// What the store could not do: too much at once is the asker's to mend, the rest is a fault.
    pub fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::Busy => too_many_at_once().into(),
            fault => Self::fault(fault),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        let message = match error {
            ApiError::Refused(refusal) => {
                extensions.set("code", refusal.code.as_ref());
                refusal.message
            }
            ApiError::Fault(id) => {
                extensions.set("code", INTERNAL);
                extensions.set("id", id.to_string());
                FAULT_MESSAGE.to_owned()
            }
        };
        let mut answer = Self::new(message);
        answer.extensions = Some(extensions);
        answer
    }
}

/// The tenant has all the connections that one may have.
pub fn too_many_at_once() -> Refusal {
    Refusal::new(
        RefusalCode::TooManyAtOnce,
        "your tenant has as many requests running as one tenant may: try again later",
    )
}

/// Logs `cause` and everything below it under a fresh id.
pub fn log_fault(cause: &(dyn StdError + 'static)) -> Uuid {
    let id = Uuid::now_v7();
    let mut causes = Vec::new();
    let mut next = Some(cause);
    while let Some(error) = next.filter(|_| causes.len() < CAUSES_MAX) {
        causes.push(error.to_string());
        next = error.source();
    }
    tracing::error!(%id, cause = %causes.join(": "), "a request failed");
    id
}

/// Makes sure that every error of `response` has a code and the id of the request, and that none carries
/// a text that is not meant for clients. `response` is unchanged otherwise.
pub fn clean(mut response: Response) -> Response {
    if response.errors.is_empty() {
        return response;
    }
    let request = request_id::current();
    for error in &mut response.errors {
        if code_of(error).is_none() {
            give_code(error);
        }
        error.source = None;
        if let (Some(extensions), Some(id)) = (&mut error.extensions, &request) {
            extensions.set(request_id::IN_ERRORS, id.as_str());
        }
    }
    response
}

/// Whether nothing was run: the document was refused before its first field.
pub fn is_request_error(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// The stable code of `error`, if it has one.
pub fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

fn give_code(error: &mut ServerError) {
    let of_argument = ARGUMENT_COMPLAINTS
        .iter()
        .any(|start| error.message.starts_with(start));
    let mut extensions = ErrorExtensionValues::default();
    if error.source.is_none() && of_argument {
        extensions.set("code", "BAD_USER_INPUT");
    } else if error.source.is_none() && error.path.is_empty() {
        extensions.set("code", "GRAPHQL_VALIDATION_FAILED");
    } else {
        let id = Uuid::now_v7();
        tracing::error!(%id, cause = %error.message, "a resolver let a foreign error through");
        FAULT_MESSAGE.clone_into(&mut error.message);
        extensions.set("code", INTERNAL);
        extensions.set("id", id.to_string());
    }
    error.extensions = Some(extensions);
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};

    struct Query;

    #[Object]
    impl Query {
        async fn leaky(&self) -> async_graphql::Result<i32> {
            std::future::ready(Err(std::io::Error::other("relation \"task\" does not exist"))).await?
        }

        async fn careless(&self) -> async_graphql::Result<i32> {
            std::future::ready(Err(Error::new("password=hunter2"))).await
        }

        async fn broken(&self) -> Result<i32, ApiError> {
            std::future::ready(Err(ApiError::fault(&std::io::Error::other("disk on fire")))).await
        }

        async fn picky(&self, at: Option<Uuid>) -> Result<i32, ApiError> {
            std::future::ready(at).await;
            Err(Refusal::new(RefusalCode::BadCursor, "the cursor is of another list").into())
        }
    }

    async fn answer(query: &str) -> Response {
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        clean(schema.execute(query).await)
    }

    #[tokio::test]
    async fn a_fault_leaves_with_an_id_and_without_its_text() {
        for query in ["{ leaky }", "{ careless }", "{ broken }"] {
            let response = answer(query).await;
            let error = &response.errors[0];
            assert_eq!(code_of(error), Some(INTERNAL), "{query}");
            assert_eq!(error.message, FAULT_MESSAGE, "{query}");
            assert!(
                error
                    .extensions
                    .as_ref()
                    .is_some_and(|values| values.get("id").is_some()),
                "{query}"
            );
            assert!(!is_request_error(&response), "{query}");
        }
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_code_and_its_sentence() {
        let error = &answer("{ picky }").await.errors[0];
        assert_eq!(code_of(error), Some("BAD_CURSOR"));
        assert_eq!(error.message, "the cursor is of another list");
    }

    #[tokio::test]
    async fn a_wrong_argument_is_the_clients_and_says_so() {
        let response = answer("query($at: UUID) { picky(at: $at) } ").await;
        assert_eq!(code_of(&response.errors[0]), Some("BAD_CURSOR"));
        let response = answer("{ picky(at: \"no\") }").await;
        assert_ne!(
            code_of(&response.errors[0]),
            Some(INTERNAL),
            "{:?}",
            response.errors
        );
    }

    #[tokio::test]
    async fn an_invalid_document_is_a_request_error() {
        let response = answer("{ missing }").await;
        assert!(is_request_error(&response));
        assert_eq!(code_of(&response.errors[0]), Some("GRAPHQL_VALIDATION_FAILED"));
    }
}
