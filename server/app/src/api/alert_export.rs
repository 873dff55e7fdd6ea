//! `GET /v1/projects/{id}/alerts.{format}`: a project's alerts as SARIF, OCSF, OpenVEX, CycloneDX or CSV.
//!
//! `?state=open,reopened` says which ones. An answer is one file. Where that is not all, the header `Tamiz-Next` has
//! what `?next=` continues with: SARIF has limits of code hosts on one file, and no file has more than
//! [`export::ALERTS_PER_ORDER_MAX`] alerts. Only the SARIF of a part tells where the next one begins, so it is written to a
//! file without a name first; all others are sent while they are read.
//!
//! Not here: what stands in the files (core's `export`), and in which order (the store's `alert::export`).

mod asked;
mod pages;

use std::io::{self, Seek as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chrono::Utc;
use tamiz_core::export::{Format, Head};
use tamiz_core::{ProjectId, Refusal, TenantId};
use tamiz_store::alert::export::{self, Order};
use tamiz_store::project::{self, Project};
use tamiz_store::shares::Shares;
use tamiz_store::token::Caller;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::artifacts::{disposition, header};
use super::errors::log_fault;
use super::refused::{Refused, unreached};
use super::schema::TenantCaller;
use super::state::ApiState;
use asked::{Asked, Next};
use pages::Pages;

/// What `?next=` continues with.
pub(crate) const NEXT: HeaderName = HeaderName::from_static("tamiz-next");
/// Exports of one tenant that one server writes at once; each holds the ids of its alerts.
const EXPORTS_OF_ONE_TENANT_MAX: usize = 2;
/// So long one waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(10);
/// An export is as old as it is.
const CACHE: HeaderValue = HeaderValue::from_static("private, no-store");

#[derive(Clone)]
struct Exports {
    state: Arc<ApiState>,
    of_tenant: Shares<TenantId>,
}

/// The route, to be put behind [`super::guard::around_callers`].
pub fn routes(state: Arc<ApiState>) -> Router {
    let route = get(download).fallback(|| async { Refused::method("GET, HEAD") });
    Router::new()
        .route("/v1/projects/{id}/{export}", route)
        .with_state(Exports {
            state,
            of_tenant: Shares::new(EXPORTS_OF_ONE_TENANT_MAX),
        })
}

/// Where a project's alerts are in this format.
pub(super) fn path_of(project: ProjectId, format: Format) -> String {
    format!("/v1/projects/{project}/alerts.{format}")
}

async fn download(
    State(exports): State<Exports>,
    TenantCaller(caller): TenantCaller,
    Path((id, file)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let asked = Asked::read(&file, query.as_deref().unwrap_or_default())?;
    let Some(place) = exports.of_tenant.wait(caller.scope.tenant_id(), TURN_WAIT).await else {
        let message = format!("{EXPORTS_OF_ONE_TENANT_MAX} exports of your tenant are being written");
        return Err(Refused::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_AT_ONCE",
            message,
        ));
    };
    let (project, order) = find(&exports.state, &caller, &id, &asked).await?;
    let head = head(&caller, &project);
    let mut next = order.next.map(Next::at);
    let store = exports.state.store.clone();
    let mut pages = Pages::new(store, caller.scope, project.id, order.ids, &asked, head, place);
    let (body, size_bytes) = if asked.format == Format::Sarif {
        let (file, size_bytes) = spooled(&mut pages).await?;
        next = pages.next().or(next);
        let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
        (body, Some(size_bytes))
    } else {
        (Body::from_stream(pages.into_stream()), None)
    };
    let name = disposition(&format!("{}.{}", project.name, asked.format.extension()));
    let media_type = HeaderValue::from_static(asked.format.media_type());
    let mut response = body.into_response();
    let answered = response.headers_mut();
    answered.insert(CONTENT_TYPE, media_type);
    answered.insert(CONTENT_DISPOSITION, header(&name));
    answered.insert(CACHE_CONTROL, CACHE);
    if let Some(size_bytes) = size_bytes {
        answered.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
    }
    if let Some(next) = next {
        answered.insert(NEXT, header(&next.to_string()));
    }
    Ok(response)
}

/// The project, if it is the caller's, and which alerts are written.
async fn find(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    asked: &Asked,
) -> Result<(Project, Order), Refused> {
    let absent = || {
        let refusal = Refusal::not_found("project", tamiz_core::text::cut(id, 100));
        Refused::from_refusal(StatusCode::NOT_FOUND, refusal)
    };
    let id: ProjectId = id.parse().map_err(|_| absent())?;
    let fault = |error| unreached(&error);
    let mut tx = state.store.begin(&caller.scope).await.map_err(fault)?;
    let project = project::get(&mut tx, id).await.map_err(fault)?;
    let project = project.ok_or_else(absent)?;
    let from = asked.next.as_ref().map(|next| next.alert);
    let order = export::order(&mut tx, id, &asked.states, from).await;
    let order = order.map_err(fault)?;
    tx.commit().await.map_err(fault)?;
    Ok((project, order))
}

fn head(caller: &Caller, project: &Project) -> Head {
    let now = Utc::now();
    Head {
        id: Uuid::now_v7(),
        project: project.name.clone(),
        product: None,
        author: caller.tenant_name.clone(),
        run: now.date_naive().to_string(),
        made_at: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// One file, written whole, at its beginning, and how long it is.
async fn spooled(pages: &mut Pages) -> Result<(std::fs::File, u64), Refused> {
    let fault = |error: io::Error| Refused::internal(log_fault(&error));
    let mut file = tempfile::tempfile().map_err(fault)?;
    let mut size_bytes = 0;
    while let Some(bytes) = pages.read().await.map_err(|error| unreached(&error))? {
        size_bytes += bytes.len() as u64;
        let written = tokio::task::spawn_blocking(move || file.write_all(&bytes).map(|()| file)).await;
        file = written
            .map_err(|error| fault(io::Error::other(error)))?
            .map_err(fault)?;
    }
    file.rewind().map_err(fault)?;
    Ok((file, size_bytes))
}
