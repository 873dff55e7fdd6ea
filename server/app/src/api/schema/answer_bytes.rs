//! How many bytes one answer may hold.
//!
//! A document's price counts values, but one value may be a message of 64 KiB that ten aliases
//! repeat for a hundred findings. So rows are paid from the request's budget when they are read
//! (`Session::read`), and every value that may be longer than a label when its resolver gives it
//! ([`paid`]); the first that does not fit ends the request.
//!
//! Values are not weighed by an extension of the engine: it wraps the futures of all fields, and
//! then siblings do not reach their [`super::batch::Batch`] together any more.

use async_graphql::{Context, Response, Value as Answer};
use serde_json::Value;
use tamiz_core::budget::VALUE_BYTES;
use tamiz_core::{Refusal, RefusalCode};

use super::session::Session;
use crate::api::errors::{ApiError, code_of};

/// Rows and values of one answer together, in bytes of memory. A page of a hundred findings as tools
/// write them needs one MiB; with the text that is sent a request stays under 100 MB.
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
        response.data = Answer::Null;
    }
    response
}

/// `value`, after it was paid for.
pub(super) fn paid<'v, Value: Weigh + ?Sized>(
    context: &Context<'_>,
    value: &'v Value,
) -> Result<&'v Value, ApiError> {
    let spent = Session::of(context)?.budget.spend(value.weight());
    spent.map_err(|_| too_large())?;
    Ok(value)
}

/// What a value takes in an answer, roughly.
pub(super) trait Weigh {
    /// In bytes.
    fn weight(&self) -> u64;
}

impl Weigh for str {
    fn weight(&self) -> u64 {
        let written = |byte: u8| match byte {
            b'"' | b'\\' => 2,
            0..=0x1f => ESCAPED_BYTES,
            _ => 1,
        };
        VALUE_BYTES + self.as_bytes().iter().copied().map(written).sum::<u64>()
    }
}

impl Weigh for String {
    fn weight(&self) -> u64 {
        self.as_str().weight()
    }
}

impl<Item: Weigh> Weigh for [Item] {
    fn weight(&self) -> u64 {
        self.iter().map(Weigh::weight).sum()
    }
}

impl<Item: Weigh> Weigh for Option<Item> {
    fn weight(&self) -> u64 {
        self.as_ref().map_or(0, Weigh::weight)
    }
}

impl Weigh for Value {
    fn weight(&self) -> u64 {
        match self {
            Self::String(text) => text.weight(),
            Self::Array(items) => VALUE_BYTES + items.weight(),
            Self::Object(entries) => {
                let below = entries.iter().map(|(key, value)| key.weight() + value.weight());
                VALUE_BYTES + below.sum::<u64>()
            }
            _ => VALUE_BYTES,
        }
    }
}
