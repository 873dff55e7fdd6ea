//! For whoever watches the server: `/healthz` (the process answers), `/readyz` (what it needs
//! answers), `/metrics` (Prometheus). They need no token and tell nothing about tenants.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::time::timeout;

use super::errors::log_fault;
use super::refused::Refused;
use super::state::ApiState;
use crate::metrics_page::MetricsPage;

/// A probe usually gives up after a few seconds itself.
const PATIENCE: Duration = Duration::from_secs(2);
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The routes; they stand before the token check.
pub fn routes(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// What a worker of its own process answers: whether it lives, and its numbers.
pub fn of_worker(page: Option<MetricsPage>) -> Router {
    let page = Arc::new(page);
    let metrics = async |State(page): State<Arc<Option<MetricsPage>>>| shown(page.as_ref().as_ref()).await;
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .with_state(page)
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    database: &'static str,
    blobs: &'static str,
}

async fn ready(State(state): State<Arc<ApiState>>) -> Response {
    let (database, blobs) = tokio::join!(answers(state.store.ping()), answers(state.blobs.check()));
    let word = |up| if up { "ok" } else { "unavailable" };
    let ready = database && blobs;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Readiness {
            ready,
            database: word(database),
            blobs: word(blobs),
        }),
    )
        .into_response()
}

async fn answers<E: std::error::Error + 'static>(probe: impl Future<Output = Result<(), E>>) -> bool {
    match timeout(PATIENCE, probe).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            log_fault(&error);
            false
        }
        Err(_) => false,
    }
}

async fn metrics(State(state): State<Arc<ApiState>>) -> Result<Response, Refused> {
    shown(state.metrics.as_ref()).await
}

async fn shown(page: Option<&MetricsPage>) -> Result<Response, Refused> {
    let Some(page) = page else {
        return Err(Refused::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "metrics are not recorded here",
        ));
    };
    Ok(([(CONTENT_TYPE, PROMETHEUS)], page.render().await).into_response())
}
