//! Pages of other sites that may call the API (CORS): those that an operator named, by exact origin.
//!
//! Nothing here keeps a foreign page from sending: what it can send without asking first carries no token, and without
//! a token nothing is answered (`bearer`). Cookies are no matter, there are none. Not here: websockets, which ask
//! nobody first (`transport::origin`).

use std::time::Duration;

use axum::Router;
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request_id::REQUEST_ID;

/// A browser need not ask again for so long; Chromium keeps no answer for longer.
const REMEMBERED: Duration = Duration::from_hours(2);
/// Makes a mutation that is sent again harmless.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

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
            CONTENT_TYPE,
            IDEMPOTENCY_KEY,
            IF_NONE_MATCH,
            RANGE,
            REQUEST_ID,
        ])
        .expose_headers([CONTENT_DISPOSITION, ETAG, RETRY_AFTER, REQUEST_ID])
        .max_age(REMEMBERED);
    router.layer(layer)
}
