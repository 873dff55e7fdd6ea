//! GraphQL over server-sent events, distinct connections mode: one request, one stream of `next`
//! events and a final `complete`.
//!
//! The stream ends early, without `complete`, when the token stops being valid or the server
//! drains; a client that wants the rest comes back with its last sequence.

use std::convert::Infallible;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response as GraphqlResponse};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::accept::MediaType;
use super::http::to_json;
use super::streams::StreamPlace;
use super::{Draining, Engine, Transport};
use crate::api::errors::clean;
use crate::api::guard::bearer::{AuthError, Credential as _, Known};
use crate::api::refused::Refused;

/// Streams the results of `request`.
pub(super) fn answer<E: Engine>(
    transport: &Transport<E>,
    known: Known<E::Caller>,
    request: Request,
    operation: OperationType,
) -> Result<Response, Refused> {
    let place = transport.streams.take(known.caller.account())?;
    let results = transport.results(&known.caller, request, operation);
    let events = events(Watched {
        results: Some(results),
        engine: transport.engine.clone(),
        known,
        keep_alive: rechecks(transport.times.keep_alive),
        recheck: rechecks(transport.times.recheck),
        draining: transport.draining.clone(),
        _place: place,
    });
    // nginx collects an answer before it passes it on, unless told not to
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    let headers = [
        (CONTENT_TYPE, MediaType::EventStream.content_type()),
        (unbuffered, "no"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// Ticks every `period`, the first time after one.
pub(super) fn rechecks(period: std::time::Duration) -> Interval {
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Watched<E: Engine> {
    results: Option<BoxStream<'static, GraphqlResponse>>,
    engine: E,
    known: Known<E::Caller>,
    keep_alive: Interval,
    recheck: Interval,
    draining: Draining,
    _place: StreamPlace,
}

enum Turn {
    Result(Option<Box<GraphqlResponse>>),
    KeepAlive,
    Recheck,
    Drain,
}

fn events<E: Engine>(watched: Watched<E>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(watched, |mut watched| async move {
        loop {
            let results = watched.results.as_mut()?;
            let turn = tokio::select! {
                result = results.next() => Turn::Result(result.map(Box::new)),
                _ = watched.keep_alive.tick() => Turn::KeepAlive,
                _ = watched.recheck.tick() => Turn::Recheck,
                () = watched.draining.begun() => Turn::Drain,
            };
            match turn {
                Turn::Result(Some(response)) => {
                    // JSON has no raw line breaks, so one data line holds it
                    let event = format!("event: next\ndata: {}\n\n", to_json(&clean(*response)));
                    return Some((Ok(event.into()), watched));
                }
                Turn::Result(None) => {
                    watched.results = None;
                    // browsers ignore an event without a data line
                    return Some((Ok(Bytes::from_static(b"event: complete\ndata:\n\n")), watched));
                }
                Turn::KeepAlive => return Some((Ok(Bytes::from_static(b":\n\n")), watched)),
                Turn::Recheck => match watched.engine.authenticate(&watched.known.token).await {
                    // a store that is away for a moment is no reason to cut a watcher off
                    Ok(_) | Err(AuthError::Unavailable(_)) => {}
                    Err(AuthError::Refused) => return None,
                },
                Turn::Drain => return None,
            }
        }
    })
}
