//! A large body on its way: whoever sends nothing, or far too slowly, is turned away and gives its place back.
//!
//! Not here: how many bytes are taken, and where they go (`uploads`, `workers`).

use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::refused::Refused;

/// A client that sends nothing for this long is gone.
const STALL_MAX: Duration = Duration::from_secs(30);
/// From when on the speed is looked at.
const SPEED_GRACE: Duration = Duration::from_mins(1);

/// What a client is told that does not keep up.
pub(super) fn stalled() -> Refused {
    let message = format!("nothing came for {} s, or far too slowly", STALL_MAX.as_secs());
    Refused::new(StatusCode::REQUEST_TIMEOUT, "UPLOAD_STALLED", message)
}

/// The body, piece by piece.
pub(super) struct Pieces {
    stream: BodyDataStream,
    began_at: Instant,
    bytes: u64,
    bytes_per_second_min: u64,
}

impl Pieces {
    /// From now on, at `bytes_per_second_min` at least.
    pub(super) fn of(body: Body, bytes_per_second_min: u64) -> Self {
        Self {
            stream: body.into_data_stream(),
            began_at: Instant::now(),
            bytes: 0,
            bytes_per_second_min,
        }
    }

    /// `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        let elapsed = self.began_at.elapsed();
        if elapsed > SPEED_GRACE && self.bytes < elapsed.as_secs() * self.bytes_per_second_min {
            return Err(stalled());
        }
        let piece = timeout(STALL_MAX, self.stream.next())
            .await
            .map_err(|_| stalled())?;
        let Some(piece) = piece else {
            return Ok(None);
        };
        let piece = piece.map_err(|_| Refused::cut_short())?;
        self.bytes += piece.len() as u64;
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::response::IntoResponse as _;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_is_cut_may_be_sent_again() {
        let sent = [
            Ok(Bytes::from_static(b"half")),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ];
        let mut pieces = Pieces::of(Body::from_stream(stream::iter(sent)), 0);
        assert_eq!(pieces.next().await.ok().flatten().as_deref(), Some(&b"half"[..]));
        let refused = pieces.next().await.unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::REQUEST_TIMEOUT);
    }
}
