//! What an answer says that is not a good one: the server's refusal, put together again as it was there, or the
//! words of something in between.
//!
//! Not here: what is done about it ([`RemoteError`]), and how a server says it (`crate::api::refused`).

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use tamiz_core::Refusal;
use tamiz_core::text::printable;

use super::client::RemoteError;
use crate::wire::ToldLimit;

/// The code of a refusal in words that are not ours, which a proxy says of itself.
const PROXY: &str = "PROXY";
/// Its code when the body is too large for it; this one reaches the task.
const BODY_TOO_LARGE: &str = "BODY_TOO_LARGE";

/// What an answer means that is not a good one. Some statuses mean the same whoever says them: a proxy says them
/// in its own words, while the server behind it restarts or has too much to do.
pub(super) fn refused(
    server: String,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> RemoteError {
    let is_anybodys = status.is_server_error()
        || [
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::PAYLOAD_TOO_LARGE,
        ]
        .contains(&status);
    let why = format!("it answers {status} in words that are not ours");
    let refusal = match told(body) {
        Some(refusal) => refusal,
        None if status == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "something before the server takes no body of this size".to_owned();
            of_a_proxy(BODY_TOO_LARGE, message)
        }
        None if is_anybodys => of_a_proxy(PROXY, why),
        None => return RemoteError::Garbled { server, why },
    };
    RemoteError::Refused {
        server,
        status,
        refusal: Box::new(refusal),
        retry_after,
    }
}

fn of_a_proxy(code: &'static str, message: String) -> Refusal {
    Refusal {
        code: code.into(),
        message,
        path: Vec::new(),
        limit: None,
    }
}

/// The refusal that a body in our words holds.
fn told(body: &[u8]) -> Option<Refusal> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.pointer("/errors/0")?;
    let details = error.get("extensions")?;
    let path = details.get("path").map(Vec::deserialize);
    let limit = details.get("limit").map(ToldLimit::deserialize);
    Some(Refusal {
        code: details.get("code")?.as_str()?.to_owned().into(),
        message: printable(error.get("message")?.as_str()?).into_owned(),
        path: path.and_then(Result::ok).unwrap_or_default(),
        // the limit of a request is a bare number, and says nothing of a tenant
        limit: limit.and_then(Result::ok).map(|limit| Box::new(limit.into())),
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use tamiz_core::quota::{QuotaLimit, QuotaRefusal};

    use super::*;

    const OURS: &[u8] = br#"{"errors":[{"message":"no","extensions":{"code":"INVALID_INPUT"}}]}"#;
    const FOREIGN: &[u8] = b"<html>502 Bad Gateway</html>";

    fn answer(status: u16, body: &[u8]) -> RemoteError {
        let status = StatusCode::from_u16(status).unwrap();
        refused("x".to_owned(), status, Some(Duration::from_secs(7)), body)
    }

    #[test]
    fn a_refusal_comes_out_of_an_answer_with_its_limit_and_its_path() {
        let of_storage = |room_at| {
            Refusal::from(QuotaRefusal {
                name: QuotaLimit::StoredBytes.into(),
                value: 5_000,
                used: 4_000,
                asked: 2_000,
                room_at,
            })
        };
        let later = DateTime::from_timestamp(1_800_000_000, 0);
        for refusal in [of_storage(None), of_storage(later)] {
            let limit = refusal.limit.clone().map(|limit| ToldLimit::from(*limit));
            let details = json!({ "code": refusal.code, "limit": limit });
            let body = json!({ "errors": [{ "message": refusal.message, "extensions": details }] });
            assert_eq!(answer(422, body.to_string().as_bytes()).refusal(), Some(refusal));
        }
        let of_http =
            br#"{"errors":[{"message":"no","extensions":{"code":"QUOTA_EXCEEDED","path":["input","name"],
            "limit":{"name":"stored-bytes","value":5,"used":4,"roomAt":null}}}]}"#;
        let refusal = answer(422, of_http).refusal().unwrap();
        let limit = refusal.limit.unwrap();
        assert_eq!((&*limit.name, limit.value, limit.used), ("stored-bytes", 5, 4));
        assert_eq!(refusal.path, ["input", "name"]);
        let of_request =
            br#"{"errors":[{"message":"no","extensions":{"code":"ARTIFACT_TOO_LARGE","limit":10}}]}"#;
        assert_eq!(answer(413, of_request).refusal().unwrap().limit, None);
    }

    #[test]
    fn the_words_of_a_proxy_are_judged_by_their_status() {
        for passing in [502, 503, 504, 408, 429] {
            let error = answer(passing, FOREIGN);
            assert!(error.may_pass(), "{error}");
            assert_eq!(error.pause(), Duration::from_secs(7));
            assert!(!error.is_dismissal() && !error.is_stale() && error.refusal().is_none());
        }
        for foreign in [301, 400, 401, 403, 404, 426] {
            let error = answer(foreign, FOREIGN);
            assert!(matches!(error, RemoteError::Garbled { .. }), "{error}");
            assert!(!error.may_pass());
        }
        let too_large = answer(413, FOREIGN).refusal().unwrap();
        assert_eq!(too_large.code, "BODY_TOO_LARGE");
    }

    #[test]
    fn what_the_server_refuses_for_good_is_not_asked_again() {
        for (status, is_the_tasks, is_the_ends) in [
            (422, true, true),
            (413, true, true),
            (400, false, true),
            (409, false, false),
        ] {
            let error = answer(status, OURS);
            assert!(!error.may_pass(), "{error}");
            assert_eq!(error.refusal().is_some(), is_the_tasks, "{error}");
            assert_eq!(error.refused_hand_in().is_some(), is_the_ends, "{error}");
        }
        for status in [401, 426] {
            assert!(answer(status, OURS).is_dismissal());
        }
    }
}
