//! `POST /v1/uploads?project=…&fileName=…`: the raw body becomes an upload.
//!
//! The answer comes after the row is committed: what was acknowledged survives a crash. How bytes are taken in is in
//! `intake`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use tamiz_core::{IdError, ProjectId, UploadId};

use super::intake::{BYTES_PER_SECOND_MIN, Intake, refused};
use super::pieces::Pieces;
use super::refused::Refused;
use super::schema::TenantCaller;
use super::state::ApiState;
use crate::flow::accept_upload::{UploadLabel, may_upload};

/// What the body is when its sender does not say.
pub(super) const UNKNOWN_TYPE: &str = "application/octet-stream";

#[derive(Clone)]
struct Uploads {
    state: Arc<ApiState>,
    intake: Intake,
}

/// The route, to be put behind [`super::guard::around_callers`].
pub(super) fn routes(state: Arc<ApiState>, intake: Intake) -> Router {
    Router::new()
        .route(
            "/v1/uploads",
            post(upload).fallback(|| async { Refused::method("POST") }),
        )
        .with_state(Uploads { state, intake })
}

/// What the client is told.
#[derive(Serialize)]
struct Acknowledged {
    id: UploadId,
    size: u64,
    sha256: String,
}

async fn upload(
    State(uploads): State<Uploads>,
    TenantCaller(caller): TenantCaller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let (project, file_name) = parameters(query.as_deref().unwrap_or_default())?;
    let media_type = media_type(&headers)?;
    let announced = uploads.intake.announced(&headers, &caller, 0).await?;
    let may = may_upload(&uploads.state.store, &caller, project).await;
    may.map_err(refused)?;

    let mut receiving = uploads.intake.open(&caller, announced).await?;
    let mut pieces = Pieces::of(body, BYTES_PER_SECOND_MIN);
    while let Some(piece) = pieces.next().await? {
        receiving.take(piece).await?;
    }
    let label = UploadLabel {
        project,
        file_name: &file_name,
        media_type,
    };
    let (id, blob) = receiving.accept(&label).await?;
    let answer = Acknowledged {
        id,
        size: blob.size_bytes,
        sha256: hex::encode(blob.hash),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `project` and `fileName` of the query string.
fn parameters(query: &str) -> Result<(ProjectId, String), Refused> {
    let (mut project, mut file_name) = (None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let slot = match name.as_ref() {
            "project" => &mut project,
            "fileName" => &mut file_name,
            _ => continue,
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(Refused::bad_request(format!(
                "`{name}` stands in the query string twice"
            )));
        }
    }
    let project = project.ok_or_else(|| Refused::bad_request("say `?project=` with the project's id"))?;
    let project = project
        .parse()
        .map_err(|error: IdError| Refused::bad_request(format!("`project`: {error}")))?;
    Ok((project, file_name.unwrap_or_default()))
}

/// The declared type of the bytes themselves. An envelope around them is refused: what would be
/// stored is not what the client means.
fn media_type(headers: &HeaderMap) -> Result<&str, Refused> {
    let unsupported = |message: &str| {
        Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            message,
        )
    };
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(unsupported(
            "send the body without a content encoding: it is stored as it comes",
        ));
    }
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or(UNKNOWN_TYPE);
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.to_ascii_lowercase().starts_with("multipart/") {
        return Err(unsupported(
            "send the file itself as the body, not a multipart form",
        ));
    }
    // what curl --data-binary says about everything
    Ok(
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            UNKNOWN_TYPE
        } else {
            essence
        },
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_query_string_names_one_project_and_a_label() {
        let id = ProjectId::fresh();
        let (project, name) = parameters(&format!("project={id}&fileName=a%20b.zip&other=1")).unwrap();
        assert_eq!((project, name.as_str()), (id, "a b.zip"));
        for bad in ["", "project=", "project=x", &format!("project={id}&project={id}")] {
            assert!(parameters(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_envelope_is_refused_and_a_careless_type_is_none() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            media_type(&headers).map(str::to_owned)
        };
        assert_eq!(of("application/zip").unwrap(), "application/zip");
        assert_eq!(of("application/x-www-form-urlencoded").unwrap(), UNKNOWN_TYPE);
        assert!(of("Multipart/Form-Data; boundary=x").is_err());
        assert_eq!(media_type(&HeaderMap::new()).unwrap(), UNKNOWN_TYPE);
    }
}
