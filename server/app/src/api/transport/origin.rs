//! Which web pages may open a websocket.
//!
//! A browser lets any page open one (there is no preflight), but says which page it was. Programs
//! other than browsers send no `Origin` and pass.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Origins allowed beside the server's own.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// From the public address, or others, as origins such as `https://console.example.org`.
    pub fn new<T: AsRef<str>>(origins: &[T]) -> Self {
        Self(
            origins
                .iter()
                .map(|origin| origin.as_ref().trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        )
    }

    /// Whether the page behind `headers` may open a websocket.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_ascii_lowercase();
        let own = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| {
                origin.split_once("://").is_some_and(|(scheme, authority)| {
                    matches!(scheme, "http" | "https") && authority == host.to_ascii_lowercase()
                })
            });
        own || self.0.contains(&origin)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn allows(origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("tamiz.example:8080"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        Origins::new(&["https://console.example/"]).allow(&headers)
    }

    #[test]
    fn only_our_own_and_listed_pages_may_connect() {
        assert!(allows(None));
        assert!(allows(Some("http://tamiz.example:8080")));
        assert!(allows(Some("https://CONSOLE.example")));
        for foreign in [
            "http://evil.example",
            "http://tamiz.example",
            "null",
            "http://tamiz.example:8080.evil",
            "",
        ] {
            assert!(!allows(Some(foreign)), "{foreign}");
        }
    }
}
