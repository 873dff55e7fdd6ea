//! Pages of other sites that may call the API (CORS): those that an operator named, by exact origin.
//!
//! Nothing here keeps a foreign page from sending: what it can send without asking first carries no token, and without
//! a token nothing is answered (`bearer`). Cookies are no matter, there are none. Not here: websockets, which ask
//! nobody first (`transport::origin`).

use std::time::Duration;

use axum::Router;
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request_id::REQUEST_ID;

/// A browser need not ask again for so long; Chromium keeps no answer for longer.
const REMEMBERED: Duration = Duration::from_hours(2);
/// Makes a mutation that is sent again harmless.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Lets pages of `origins` call `router`, and nobody's where there are none.
pub fn let_pages_in<'a>(router: Router, origins: impl Iterator<Item = &'a str>) -> Router {
    let origins: Vec<HeaderValue> = origins
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    if origins.is_empty() {
        return router;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_ENCODING,
            CONTENT_TYPE,
            IDEMPOTENCY_KEY,
            IF_NONE_MATCH,
            RANGE,
            REQUEST_ID,
        ])
        .expose_headers([
            CONTENT_DISPOSITION,
            ETAG,
            IDEMPOTENCY_REPLAYED,
            LOCATION,
            RETRY_AFTER,
            REQUEST_ID,
        ])
        .max_age(REMEMBERED);
    router.layer(layer)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::post;
    use tower::ServiceExt as _;

    use super::*;

    /// One header of the answer to a page of `method`.
    async fn answered(method: Method, header: &str) -> String {
        let router = Router::new().route("/", post(async || "done"));
        let router = let_pages_in(router, ["https://console.example"].into_iter());
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("origin", "https://console.example")
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap();
        let answer = router.oneshot(request).await.unwrap();
        answer.headers()[header].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_page_may_send_a_packed_report_and_read_where_its_task_is() {
        let may_send = answered(Method::OPTIONS, "access-control-allow-headers").await;
        for header in ["content-encoding", "idempotency-key"] {
            assert!(may_send.contains(header), "{header}: {may_send}");
        }
        let may_read = answered(Method::POST, "access-control-expose-headers").await;
        for header in ["location", "idempotency-replayed", "retry-after", "x-request-id"] {
            assert!(may_read.contains(header), "{header}: {may_read}");
        }
    }
}
