//! The id of a request: in its span, in the header of its answer, and in every error that it is told.
//!
//! A client that traces its own requests may say one in `x-request-id`; what is long or holds more than letters,
//! digits, `-`, `_` and `.` is not taken over, because ids stand in logs. The id travels with the task that answers
//! ([`current`]), so that whatever refuses can name it; what goes on after the answer's head (event streams,
//! websockets) takes it along with [`scope`].

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::HeaderName;
use uuid::Uuid;

/// The header that says it, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The key in the extensions of an error.
pub const IN_ERRORS: &str = "requestId";
/// The longest id that is taken over: twice a UUID, which fits what tracing systems use.
const BYTES_MAX: usize = 64;

tokio::task_local! {
    static CURRENT: Option<RequestId>;
}

/// The id of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The client's own id, if it said one that may stand in logs, else a fresh one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut said = headers.get_all(REQUEST_ID).iter();
        let own = said.next().filter(|_| said.next().is_none());
        let own = own
            .and_then(|value| value.to_str().ok())
            .filter(|text| is_plain(text));
        Self(own.map_or_else(|| Uuid::now_v7().to_string().into(), Arc::from))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// The id of the request that this task answers, if it answers one.
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Runs `work` as part of the request `id`, or of none. Holds it once: long connections wait inside.
pub fn scope<F: Future>(id: Option<RequestId>, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(id, work)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(said: &[&'static str]) -> RequestId {
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append(REQUEST_ID, HeaderValue::from_static(value));
        }
        RequestId::of(&headers)
    }

    #[test]
    fn only_a_short_plain_id_of_the_client_is_taken_over() {
        assert_eq!(of(&["build-7_a.b"]).as_str(), "build-7_a.b");
        let long = "x".repeat(65).leak();
        for refused in [
            &[""][..],
            &["a b"],
            &["a\u{9}"],
            &["{}"],
            &[long],
            &["one", "two"],
            &[],
        ] {
            assert!(Uuid::parse_str(of(refused).as_str()).is_ok(), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn the_id_is_known_inside_its_scope_alone() {
        let id = of(&["outer"]);
        assert_eq!(scope(Some(id.clone()), async { current() }).await, Some(id));
        assert_eq!(current(), None);
    }
}
