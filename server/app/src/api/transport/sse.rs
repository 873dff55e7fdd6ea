//! GraphQL over server-sent events, distinct connections mode: one request, one stream of `next`
//! events and a final `complete`.
//!
//! The stream ends early, without `complete`, when the token stops being valid, when the server drains, or when the
//! client does not read: the first and the last are told in a `next` event with an error, the last one only to a
//! client that reads again. A client that wants the rest comes back with its last sequence.
//!
//! Events are made on a task of their own, at most [`WAITING_MAX`] ahead of what the connection takes. The body alone
//! would be asked for events only while there is room on the line, and never notice that there is none.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_graphql::Response as GraphqlResponse;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};
use tracing::Instrument as _;

use super::accept::MediaType;
use super::http::to_json;
use super::streams::StreamPlace;
use super::tokens::TokenLife;
use super::{Admitted, Draining, Engine, Transport, errors};
use crate::api::cost::Cost;
use crate::api::errors::clean;
use crate::api::guard::bearer::{Credential as _, Known};
use crate::api::guard::request_id;
use crate::api::refused::Refused;

/// Events that wait for the connection, beside what its own buffers hold.
const WAITING_MAX: usize = 1;

/// Streams the results of what was admitted and paid.
pub(super) fn answer<E: Engine>(
    transport: &Transport<E>,
    known: Known<E::Caller>,
    admitted: Admitted,
    cost: Cost,
) -> Result<Response, Refused> {
    let place = transport.streams.take(known.caller.account())?;
    let times = transport.times;
    let watched = Watched {
        results: transport.results(&known.caller, admitted, cost),
        token: transport.tokens.follow(&transport.engine, &known, times.recheck),
        keep_alive: ticks(times.keep_alive),
        draining: transport.draining.clone(),
        patience: times.send,
        _place: place,
    };
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let last_words = LastWords::default();
    let making = watched.run(sender, Arc::clone(&last_words));
    tokio::spawn(request_id::scope(request_id::current(), making).in_current_span());
    // nginx collects an answer before it passes it on, unless told not to
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    let headers = [
        (CONTENT_TYPE, MediaType::EventStream.content_type()),
        (unbuffered, "no"),
    ];
    Ok((headers, Body::from_stream(events(receiver, last_words))).into_response())
}

/// Ticks every `period`, the first time after one.
pub(super) fn ticks(period: Duration) -> Interval {
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What the stream ends with, once its task has ended.
type LastWords = Arc<OnceLock<Bytes>>;

/// The events as the connection asks for them.
fn events(
    receiver: mpsc::Receiver<Bytes>,
    last_words: LastWords,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(Some(receiver), move |receiver| {
        let last_words = Arc::clone(&last_words);
        async move {
            let mut receiver = receiver?;
            if let Some(event) = receiver.recv().await {
                return Some((Ok(event), Some(receiver)));
            }
            let event = last_words.get()?.clone();
            Some((Ok(event), None))
        }
    })
}

struct Watched {
    results: BoxStream<'static, GraphqlResponse>,
    token: TokenLife,
    keep_alive: Interval,
    draining: Draining,
    patience: Duration,
    _place: StreamPlace,
}

enum Turn {
    Result(Option<Box<GraphqlResponse>>),
    KeepAlive,
    TokenEnded,
    /// The server drains, or the client is gone.
    End,
}

impl Watched {
    async fn run(mut self, sender: mpsc::Sender<Bytes>, last_words: LastWords) {
        loop {
            let turn = tokio::select! {
                result = self.results.next() => Turn::Result(result.map(Box::new)),
                _ = self.keep_alive.tick() => Turn::KeepAlive,
                () = self.token.ended() => Turn::TokenEnded,
                () = self.draining.begun() => Turn::End,
                () = sender.closed() => Turn::End,
            };
            let event = match turn {
                Turn::Result(Some(response)) => next(*response),
                Turn::Result(None) => {
                    // browsers ignore an event without a data line
                    let _ = last_words.set(Bytes::from_static(b"event: complete\ndata:\n\n"));
                    return;
                }
                Turn::KeepAlive => Bytes::from_static(b":\n\n"),
                Turn::TokenEnded => {
                    let message = "the token has expired or was revoked";
                    let _ = last_words.set(next(errors("UNAUTHENTICATED", message.to_owned())));
                    return;
                }
                Turn::End => return,
            };
            if timeout(self.patience, sender.send(event)).await.is_err() {
                metrics::counter!("tamiz_slow_consumers_total").increment(1);
                let message = "events were not read in time: come back with your last sequence";
                let _ = last_words.set(next(errors("SLOW_CONSUMER", message.to_owned())));
                return;
            }
        }
    }
}

/// JSON has no raw line breaks, so one data line holds it.
fn next(response: GraphqlResponse) -> Bytes {
    format!("event: next\ndata: {}\n\n", to_json(&clean(response))).into()
}
