//! How many bytes one answer may hold.
//!
//! A document's price counts values, but one value may be a message of 64 KiB that ten aliases
//! repeat for a hundred findings. So every value is weighed when its resolver gives it, and the
//! first that does not fit into what is left of the request's budget ends the request. Rows are paid
//! from the same budget when they are read (`Session::read`).

use std::sync::Arc;

use async_graphql::async_trait::async_trait;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo};
use async_graphql::{
    Error, PathSegment, QueryPathNode, QueryPathSegment, Response, ServerError, ServerResult, Value,
};
use tamiz_core::budget::VALUE_BYTES;
use tamiz_core::{Refusal, RefusalCode};

use super::session::Session;
use crate::api::errors::{ApiError, code_of};

/// Rows and values of one answer together, in bytes of memory. A page of a hundred findings as tools
/// write them has one; with the text that is sent a request stays under 100 MB.
pub(super) const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A control character becomes `\u0000` in JSON.
const ESCAPED_BYTES: u64 = 6;

/// Why a request whose budget is used up has no answer.
pub(super) fn too_large() -> Refusal {
    let message = format!(
        "the answer needs more than {} MiB: ask for fewer rows or fewer large fields at once",
        ANSWER_BYTES_MAX >> 20
    );
    Refusal::new(RefusalCode::ResponseTooLarge, message)
}

/// A response that did not fit keeps that one error only: siblings that failed for the same reason
/// say nothing new, and half an answer could be taken for a whole one.
pub(super) fn only_refusal(mut response: Response) -> Response {
    let refusal = response
        .errors
        .iter()
        .position(|error| code_of(error) == Some(RefusalCode::ResponseTooLarge.as_str()));
    if let Some(index) = refusal {
        response.errors = vec![response.errors.swap_remove(index)];
        response.data = Value::Null;
    }
    response
}

/// Weighs what resolvers give.
pub(super) struct AnswerBytes;

impl ExtensionFactory for AnswerBytes {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for AnswerBytes {
    async fn resolve(
        &self,
        context: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let path = info.path_node;
        // what lists and objects hold was weighed item by item, unless one resolver gave it whole
        let is_json = info.return_type.trim_end_matches('!') == "JSON";
        let value = next.run(context, info).await?;
        let bytes = match &value {
            Some(whole) if is_json => heavy(whole),
            Some(Value::String(text)) => VALUE_BYTES + written(text),
            _ => VALUE_BYTES,
        };
        match context.data_opt::<Arc<Session>>() {
            Some(session) if session.budget.spend(bytes).is_err() => Err(refusal(path)),
            _ => Ok(value),
        }
    }
}

fn refusal(at: &QueryPathNode<'_>) -> ServerError {
    let error: Error = ApiError::from(too_large()).into();
    let mut error = error.into_server_error(async_graphql::Pos::default());
    error.locations.clear();
    error.path = std::iter::once(at)
        .chain(at.parents())
        .map(|node| match node.segment {
            QueryPathSegment::Index(index) => PathSegment::Index(index),
            QueryPathSegment::Name(name) => PathSegment::Field(name.to_owned()),
        })
        .collect();
    error.path.reverse();
    error
}

/// A value with everything below it. What a JSON column holds was read with a bounded depth.
fn heavy(value: &Value) -> u64 {
    let below = match value {
        Value::String(text) => written(text),
        Value::List(items) => items.iter().map(heavy).sum(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| written(key) + heavy(value))
            .sum(),
        _ => 0,
    };
    VALUE_BYTES + below
}

/// The bytes of `text` as it will be sent.
fn written(text: &str) -> u64 {
    let of = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => ESCAPED_BYTES,
        _ => 1,
    };
    text.bytes().map(of).sum()
}
