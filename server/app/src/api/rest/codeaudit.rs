//! `POST /codeaudit/upload`: a form with an archive of source code becomes an upload and its scan.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::Rest;
use super::arrival::{Arrival, Envelope, Head};
use super::order::{Received, Wanted, of_file};
use super::repeat::Key;
use super::told::accepted;
use crate::api::refused::Refused;
use crate::api::schema::TenantCaller;

const ROUTE: &str = "/codeaudit/upload";
const SCAN_TYPE: &str = "codeaudit";
/// Beside the part `file`.
const KNOWN: &[&str] = &[
    "project",
    "createProject",
    "profile",
    "branch",
    "environment",
    "category",
    "commit",
    "options",
    "priority",
    "fileName",
];

pub(super) async fn upload(
    State(rest): State<Rest>,
    TenantCaller(caller): TenantCaller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let key = Key::of(&headers, caller.scope.tenant_id(), ROUTE)?;
    let head = Head {
        known: KNOWN,
        query: query.as_deref(),
        headers: &headers,
        envelope: Envelope::Form,
    };
    let mut arrival = Arrival::open(&rest, &caller, head, body).await?;
    let bytes = arrival.receive(&rest, &caller).await?;
    let wanted = Wanted::of(arrival.fields(), SCAN_TYPE, &rest, &caller).await?;
    let received = Received {
        bytes,
        file_name: arrival.file_name().to_owned(),
        media_type: arrival.media_type().to_owned(),
        is_report: false,
    };
    let started = of_file(&rest, &caller, key, wanted, received).await?;
    accepted(&rest, &caller, &started, None).await
}
