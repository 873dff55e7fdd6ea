//! Which media type an answer gets (GraphQL over HTTP, "media types"; RFC 9110 §12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Ranges read of an `Accept` header; browsers send fewer than ten.
const RANGES_MAX: usize = 32;

/// A way to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status says what happened.
    GraphqlResponse,
    /// `application/json`: 200 for every well-formed request, as old clients expect.
    Json,
    /// `text/event-stream`.
    EventStream,
}

impl MediaType {
    /// The `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
        }
    }
}

/// The best media type that the client accepts; `None` if it accepts none of ours. Wildcards and
/// silence mean plain JSON, which every client can read.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<MediaType> {
    let mut best: Option<(MediaType, u16)> = None;
    let mut ranges = 0_usize;
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')).take(RANGES_MAX) {
        let range = range.trim();
        if range.is_empty() {
            continue;
        }
        ranges += 1;
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let candidate = match media_type.as_str() {
            "application/graphql-response+json" => MediaType::GraphqlResponse,
            "application/json" | "application/*" | "*/*" => MediaType::Json,
            "text/event-stream" => MediaType::EventStream,
            _ => continue,
        };
        let quality = parts.find_map(quality).unwrap_or(1000);
        if quality > 0 && best.is_none_or(|(_, other)| quality > other) {
            best = Some((candidate, quality));
        }
    }
    match best {
        Some((media_type, _)) => Some(media_type),
        None if ranges == 0 => Some(MediaType::Json),
        None => None,
    }
}

/// `q=0.5` as thousandths.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value: f32 = value.trim().parse().ok()?;
    // in range by the clamp
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=1000")]
    let thousandths = (value.clamp(0.0, 1.0) * 1000.0) as u16;
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(accept: &'static str) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        negotiate(&headers)
    }

    #[test]
    fn the_best_known_type_wins_and_wildcards_mean_json() {
        assert_eq!(negotiate(&HeaderMap::new()), Some(MediaType::Json));
        assert_eq!(of("*/*"), Some(MediaType::Json));
        assert_eq!(of("application/*"), Some(MediaType::Json));
        assert_eq!(
            of("application/graphql-response+json"),
            Some(MediaType::GraphqlResponse)
        );
        assert_eq!(of("application/json, text/event-stream"), Some(MediaType::Json));
        assert_eq!(
            of("text/html, TEXT/Event-Stream ; charset=utf-8"),
            Some(MediaType::EventStream)
        );
        assert_eq!(
            of("application/graphql-response+json; charset=utf-8, application/json; q=0.9"),
            Some(MediaType::GraphqlResponse)
        );
        assert_eq!(
            of("application/json;q=0.1, application/graphql-response+json;q=0.2"),
            Some(MediaType::GraphqlResponse)
        );
        assert_eq!(of("text/html"), None);
        assert_eq!(of("application/json;q=0"), None);
    }
}
