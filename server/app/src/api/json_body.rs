//! A small body of JSON, read whole under a limit of bytes and time.

use std::time::Duration;

use axum::body::Body;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::pieces::{Pieces, stalled};
use super::refused::Refused;

/// The longest of them: a question of a worker that names a thousand leases.
const JSON_BYTES_MAX: usize = 1024 * 1024;
/// For a small body to arrive.
const JSON_SECONDS_MAX: u64 = 30;

/// The body as what is expected.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    let patience = Duration::from_secs(JSON_SECONDS_MAX);
    let body = timeout(patience, whole(body)).await.map_err(|_| stalled())??;
    parse(&body)
}

async fn whole(body: Body) -> Result<Vec<u8>, Refused> {
    let (mut pieces, mut whole) = (Pieces::of(body, 0), Vec::new());
    while let Some(piece) = pieces.next().await? {
        if whole.len() + piece.len() > JSON_BYTES_MAX {
            let message = format!("the body has more than {JSON_BYTES_MAX} bytes");
            return Err(Refused::bad_request(message));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// JSON of a client; what is wrong with it is told.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(text)
        .map_err(|error| Refused::bad_request(format!("the body is not understood: {error}")))
}
