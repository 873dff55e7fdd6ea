//! The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), and the status of what is said about keys.
//!
//! The draft writes the key as a string of structured fields, in quotes; most clients send it bare. Both are read.

use async_graphql::{Request, Response, Value};
use axum::http::{HeaderMap, StatusCode};

use crate::api::errors::{INTERNAL, code_of, is_request_error};
use crate::api::refused::Refused;
use crate::api::schema::IDEMPOTENCY_EXTENSION;

const HEADER: &str = "idempotency-key";

/// Puts the header's key where the engine looks for it.
pub(super) fn attach(headers: &HeaderMap, request: &mut Request) -> Result<(), Refused> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(());
    };
    let key = value.to_str().ok().and_then(unquoted);
    match key {
        Some(key) if values.next().is_none() => {
            let name = IDEMPOTENCY_EXTENSION.to_owned();
            request.extensions.0.insert(name, Value::from(key));
            Ok(())
        }
        _ => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "IDEMPOTENCY_KEY_INVALID",
            "send one `Idempotency-Key`: printable ASCII characters, in quotes or bare",
        )),
    }
}

/// A batch takes no header: it would be one key for several requests.
pub(super) fn none_of_batch(headers: &HeaderMap) -> Result<(), Refused> {
    if !headers.contains_key(HEADER) {
        return Ok(());
    }
    Err(Refused::new(
        StatusCode::BAD_REQUEST,
        "IDEMPOTENCY_KEY_INVALID",
        "a batch takes no `Idempotency-Key`: give each of its requests an `extensions.idempotencyKey`",
    ))
}

/// The key in a header's value. Within quotes only a quote and a backslash are written with a backslash.
fn unquoted(value: &str) -> Option<String> {
    let value = value.trim();
    let Some(quoted) = value.strip_prefix('"') else {
        return (!value.contains('"')).then(|| value.to_owned());
    };
    let (mut key, mut characters) = (String::new(), quoted.chars());
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(key),
            '\\' => key.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => key.push(other),
        }
    }
}

/// The HTTP status of an answer that says why a request with a key was not carried out.
pub(super) fn status_of(response: &Response) -> Option<StatusCode> {
    if !is_request_error(response) {
        return None;
    }
    match response.errors.first().and_then(code_of)? {
        "IDEMPOTENCY_KEY_INVALID" => Some(StatusCode::BAD_REQUEST),
        "IDEMPOTENCY_KEY_REUSED" => Some(StatusCode::UNPROCESSABLE_ENTITY),
        "IDEMPOTENCY_KEY_IN_USE" | "IDEMPOTENCY_KEY_UNKNOWN_OUTCOME" => Some(StatusCode::CONFLICT),
        "IDEMPOTENCY_KEYS_TOO_MANY" => Some(StatusCode::TOO_MANY_REQUESTS),
        "TOO_MANY_AT_ONCE" => Some(StatusCode::SERVICE_UNAVAILABLE),
        INTERNAL => Some(StatusCode::INTERNAL_SERVER_ERROR),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_quotes_or_bare() {
        for (value, key) in [
            ("8e03978e-40d5", Some("8e03978e-40d5")),
            (" \"8e03978e-40d5\" ", Some("8e03978e-40d5")),
            (r#""a \"b\" \\""#, Some(r#"a "b" \"#)),
            (r#""a"#, None),
            (r#""a" b"#, None),
            (r#""a\b""#, None),
            (r#"a"b"#, None),
        ] {
            assert_eq!(unquoted(value).as_deref(), key, "{value}");
        }
    }
}
