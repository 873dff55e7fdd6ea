//! Driving one call of a guest to its end, on the thread that asked for it.
//!
//! A component without WASI never waits: its call is ready at the first look, and the epoch bounds it. One
//! with WASI may wait in host code, where no epoch ticks; its deadline and its cancel flag are looked at
//! beside it, and a call that is given up is unwound.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use wasmtime_wasi::runtime::in_tokio;

use crate::input::CancelFlag;

/// How often a call that waits is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The end of a call's patience.
#[derive(Clone)]
pub(crate) struct Patience {
    /// `None` when the limit is beyond what the clock can count.
    pub(crate) deadline_at: Option<Instant>,
    pub(crate) cancel: CancelFlag,
}

impl Patience {
    pub(crate) fn is_over(&self) -> bool {
        self.cancel.is_cancelled()
            || self
                .deadline_at
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    async fn end(&self) {
        while !self.is_over() {
            let left = self.deadline_at.map_or(LOOK, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }
}

/// What a call that never waits answers; `None` if it waited after all.
pub(crate) fn at_once<T>(call: impl Future<Output = T>) -> Option<T> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// What a call answers that may wait; `None` when the patience ended first.
///
/// A thread that belongs to a runtime may be one that drives it, which must not wait for another: the call
/// then has a thread of its own.
///
/// # Errors
/// The system has no thread to give.
pub(crate) fn patiently<T: Send, F: Future<Output = T>>(
    call: impl FnOnce() -> F + Send,
    patience: &Patience,
) -> io::Result<Option<T>> {
    let wait = || {
        in_tokio(async {
            tokio::select! {
                biased;
                answer = call() => Some(answer),
                () = patience.end() => None,
            }
        })
    };
    if Handle::try_current().is_err() {
        return Ok(wait());
    }
    thread::scope(|scope| {
        let waiting = thread::Builder::new()
            .name("plugin-wasi".to_owned())
            .spawn_scoped(scope, wait)?;
        Ok(waiting
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
