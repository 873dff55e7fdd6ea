//! GraphiQL at `/`, from bytes embedded in the binary: it works without the internet.
//!
//! The token is typed into a field above the editors and stays in the page's memory; it is never part of an address. The
//! page opens with the queries of the GraphQL guide in its tabs. How the bundle was made: `assets/graphiql/README.md`.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;

const SCRIPT: &[u8] = include_bytes!("../../assets/graphiql/graphiql.js.gz");
const STYLE: &[u8] = include_bytes!("../../assets/graphiql/graphiql.css.gz");
/// The guide, whose queries the page opens with.
const GUIDE: &str = include_str!("../../../../docs/graphql.md");
/// The part of it that has them.
const SECTION: &str = "\n## Ten queries of a frontend\n";
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
<script src="graphiql-examples.js"></script>
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

/// The page and its three files.
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
        .route("/graphiql-examples.js", get(examples))
}

async fn page() -> impl IntoResponse {
    let headers: [(HeaderName, &str); 2] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, PAGE)
}

async fn examples() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CACHE_CONTROL, CACHE),
    ];
    (headers, format!("globalThis.tamizExamples = {};\n", tabs(GUIDE)))
}

/// The queries of the guide as GraphiQL takes tabs: each block of GraphQL, with the JSON that follows it before the next.
fn tabs(guide: &str) -> serde_json::Value {
    let section = guide.split_once(SECTION).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    let tabs = section.split("```graphql\n").skip(1).map(|block| {
        let (query, rest) = block.split_once("```").unwrap_or((block, ""));
        let variables = rest.split_once("```json\n");
        let variables = variables.and_then(|(_, rest)| rest.split_once("```"));
        json!({ "query": query, "variables": variables.map_or("", |(variables, _)| variables) })
    });
    tabs.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_opens_with_the_queries_of_the_guide() {
        let tabs = tabs(GUIDE);
        let tabs = tabs.as_array().unwrap();
        assert_eq!(tabs.len(), 10);
        assert_eq!(tabs[0]["variables"], "");
        for tab in tabs {
            let query = tab["query"].as_str().unwrap();
            async_graphql::parser::parse_query(query).unwrap();
            let variables = tab["variables"].as_str().unwrap();
            assert_eq!(variables.is_empty(), !query.contains('$'), "{query}");
            if !variables.is_empty() {
                serde_json::from_str::<serde_json::Value>(variables).unwrap();
            }
        }
    }
}
