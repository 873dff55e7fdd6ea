//! `POST /codeaudit/upload`: a form with an archive of source code becomes an upload and its scan.

use axum::extract::{Request, State};
use axum::response::Response;
use tamiz_store::token::Caller;

use super::Rest;
use super::arrival::{Envelope, FileRoute, FromFields};
use super::fields::Fields;
use super::order::{Wanted, of_file};
use super::told::accepted;
use crate::api::refused::Refused;
use crate::api::schema::TenantCaller;

const SCAN_TYPE: &str = "codeaudit";
const ROUTE: FileRoute = FileRoute {
    path: "/codeaudit/upload",
    fields: &[
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
    ],
    envelope: Envelope::Form,
    is_report: false,
};

pub(super) async fn upload(
    State(rest): State<Rest>,
    TenantCaller(caller): TenantCaller,
    request: Request,
) -> Result<Response, Refused> {
    let arrived = ROUTE.receive::<Audit>(&rest, &caller, request).await?;
    let started = of_file(&rest, &caller, arrived.key, arrived.order.0, arrived.received).await?;
    accepted(&rest, &caller, &started, None).await
}

/// The scan that is asked for.
struct Audit(Wanted);

impl FromFields for Audit {
    async fn read(fields: &Fields, rest: &Rest, caller: &Caller) -> Result<Self, Refused> {
        Wanted::of(fields, SCAN_TYPE, rest, caller).await.map(Self)
    }
}
