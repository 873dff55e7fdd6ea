//! Bodies that a refusal leaves unread.
//!
//! The server hangs up on them, and a client that is still sending then often sees a broken pipe
//! instead of the answer. So a refusal says that the line ends with it, and what is refused for its
//! size is taken and thrown away for a moment, until the client has read why. Nothing is read for
//! any other refusal, above all not for strangers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};

/// A shorter body has arrived with its head, and the server takes it away itself.
const ARRIVED_BYTES_MAX: u64 = 4 * 1024;
/// For an answer to reach a client on the other side of the world that is busy sending.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// Where a body goes that was dropped before its end.
type Slot = Arc<Mutex<Option<BodyDataStream>>>;

/// Looks after the body of one request.
pub(super) async fn unread_body(request: Request, next: Next) -> Response {
    if !is_long(request.headers()) || request.version() >= Version::HTTP_2 {
        return next.run(request).await;
    }
    let slot = Slot::default();
    let request = request.map(|body| {
        Body::from_stream(Watched {
            body: Some(body.into_data_stream()),
            slot: Arc::clone(&slot),
        })
    });
    let mut response = next.run(request).await;
    if response.status().is_success() {
        return response;
    }
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    let unread = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = unread.filter(|_| response.status() == StatusCode::PAYLOAD_TOO_LARGE) {
        tokio::spawn(tokio::time::timeout(LINGER_MAX, throw_away(body)));
    }
    response
}

fn is_long(headers: &HeaderMap) -> bool {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > ARRIVED_BYTES_MAX) || headers.contains_key(TRANSFER_ENCODING)
}

async fn throw_away(mut body: BodyDataStream) {
    while let Some(Ok(_)) = body.next().await {}
}

/// Passes a body on, and keeps it when it is dropped before its end.
struct Watched {
    body: Option<BodyDataStream>,
    slot: Slot,
}

impl Stream for Watched {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let chunk = body.poll_next_unpin(context);
        if matches!(chunk, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        chunk
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}
