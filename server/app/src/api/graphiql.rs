//! GraphiQL at `/`, from bytes embedded in the binary: it works without the internet.
//!
//! The token is typed into its headers editor and stays in the page's memory; it is never part of
//! an address. How the bundle was made: `assets/graphiql/README.md`.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
};
use axum::response::IntoResponse;
use axum::routing::get;

const SCRIPT: &[u8] = include_bytes!("../../assets/graphiql/graphiql.js.gz");
const STYLE: &[u8] = include_bytes!("../../assets/graphiql/graphiql.css.gz");
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tamiz: GraphiQL</title>
<link rel="stylesheet" href="graphiql.css">
<style>body { margin: 0; } #graphiql { height: 100dvh; }</style>
</head>
<body>
<div id="graphiql">Loading…</div>
<script src="graphiql.js"></script>
</body>
</html>
"#;
/// Own scripts only; the editor sets inline styles, its fonts are in the style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    font-src 'self' data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
/// The bundle changes with the binary only, but its address does not name a version.
const CACHE: &str = "public, max-age=3600";

/// The page and its two files.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(page))
        .route(
            "/graphiql.js",
            get(|| async { packed("text/javascript; charset=utf-8", SCRIPT) }),
        )
        .route(
            "/graphiql.css",
            get(|| async { packed("text/css; charset=utf-8", STYLE) }),
        )
}

async fn page() -> impl IntoResponse {
    let headers: [(HeaderName, &str); 2] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, PAGE)
}

fn packed(media_type: &'static str, bytes: &'static [u8]) -> impl IntoResponse {
    // every browser of the last twenty years reads gzip
    let headers = [
        (CONTENT_TYPE, media_type),
        (CONTENT_ENCODING, "gzip"),
        (CACHE_CONTROL, CACHE),
    ];
    (headers, bytes)
}
