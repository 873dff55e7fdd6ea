//! A GraphQL request as a client says it: a document, or the name of one.

use async_graphql::indexmap::IndexMap;
use async_graphql::{Extensions, Name, Request, Value, Variables};
use axum::http::StatusCode;

use super::documents::Hash;
use crate::api::refused::Refused;

/// The version of persisted queries that there is.
const PERSISTED_VERSION: u64 = 1;

/// One request, before its document is known.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its query is empty if the document is only named.
    pub(super) request: Request,
    pub(super) document: Document,
}

/// How a request says its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    /// In words.
    Text,
    /// In words, with their hash: they may be kept under it.
    TextOf(Hash),
    /// By `extensions.persistedQuery` alone.
    Persisted(Hash),
    /// By `documentId`; none if it is no hash, and so nobody's.
    Id(Option<Hash>),
}

/// A request from its JSON object.
pub(super) fn from_value(value: Value) -> Result<Asked, Refused> {
    match value {
        Value::Object(object) => from_object(object),
        _ => Err(Refused::bad_request(
            "the body must be a JSON object with `query`",
        )),
    }
}

fn from_object(mut object: IndexMap<Name, Value>) -> Result<Asked, Refused> {
    let text = string(object.swap_remove("query"), "query")?.filter(|text| !text.trim().is_empty());
    let id = string(object.swap_remove("documentId"), "documentId")?;
    let extensions = map(object.swap_remove("extensions"), "extensions")?.unwrap_or_default();
    let document = match (&text, id, persisted(extensions.get("persistedQuery"))?) {
        (_, Some(_), Some(_)) | (Some(_), Some(_), None) => {
            return Err(Refused::bad_request(
                "say the document once: by `query`, `documentId` or `extensions.persistedQuery`",
            ));
        }
        (None, Some(id), None) => Document::Id(Hash::parse(&id)),
        (Some(_), None, Some(hash)) => Document::TextOf(hash),
        (None, None, Some(hash)) => Document::Persisted(hash),
        (Some(_), None, None) => Document::Text,
        (None, None, None) => return Err(Refused::bad_request("`query` is missing")),
    };
    let mut request = Request::new(text.unwrap_or_default());
    request.operation_name =
        string(object.swap_remove("operationName"), "operationName")?.filter(|name| !name.is_empty());
    if let Some(variables) = map(object.swap_remove("variables"), "variables")? {
        request.variables = Variables::from_value(Value::Object(variables));
    }
    let extensions = extensions
        .into_iter()
        .map(|(name, value)| (name.to_string(), value));
    request.extensions = Extensions(extensions.collect());
    Ok(Asked { request, document })
}

/// The hash in `extensions.persistedQuery`.
fn persisted(value: Option<&Value>) -> Result<Option<Hash>, Refused> {
    let object = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(bad_persisted("`extensions.persistedQuery` must be an object")),
    };
    let version = match object.get("version") {
        Some(Value::Number(version)) => version.as_u64(),
        _ => None,
    };
    if version != Some(PERSISTED_VERSION) {
        return Err(bad_persisted("`extensions.persistedQuery` is of version 1"));
    }
    let hash = match object.get("sha256Hash") {
        Some(Value::String(hash)) => Hash::parse(hash),
        _ => None,
    };
    hash.map(Some)
        .ok_or_else(|| bad_persisted("`sha256Hash` is the SHA-256 of the document in hex digits"))
}

fn bad_persisted(message: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, "PERSISTED_QUERY_NOT_SUPPORTED", message)
}

fn string(value: Option<Value>, name: &str) -> Result<Option<String>, Refused> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refused::bad_request(format!("`{name}` must be a string"))),
    }
}

fn map(value: Option<Value>, name: &str) -> Result<Option<IndexMap<Name, Value>>, Refused> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Refused::bad_request(format!("`{name}` must be an object"))),
    }
}
