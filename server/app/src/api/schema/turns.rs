//! When a request's batches are fetched: one after another, each when nothing else of the request can go on.
//!
//! The engine joins the fields of a request in one future, so who polls that future knows when all of them wait: they
//! were polled and none was woken since. Counting `yield_now` instead depends on luck: a join of more than thirty
//! futures gives up its turn after two that wake themselves, and some siblings are whole turns ahead of others.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::poll_fn;
use futures_util::stream::{self, Stream, StreamExt as _};
use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;
use tokio::task::coop::{has_budget_remaining, unconstrained};

/// The turns of one request.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Who polls the request.
    runtime: AtomicWaker,
    /// Something of the request was woken since its last turn began.
    is_woken: AtomicBool,
    /// The request has its turn.
    is_running: AtomicBool,
    /// Statements under way. There is one connection, so what else is fetched would wait for it.
    reading: AtomicUsize,
    /// Batches that have keys, in the order in which they got the first.
    waiting: Mutex<VecDeque<oneshot::Sender<()>>>,
}

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.runtime.wake();
    }
}

impl Turns {
    /// Runs a request whose loads wait for [`Turns::idle`].
    pub(super) async fn drive<F: Future>(self: Arc<Self>, request: F) -> F::Output {
        let mut request = pin!(request);
        poll_fn(|cx| self.turn(cx, |cx| request.as_mut().poll(cx))).await
    }

    /// Runs a subscription likewise.
    pub(super) fn drive_each<S: Stream + Unpin>(
        self: Arc<Self>,
        mut request: S,
    ) -> impl Stream<Item = S::Item> {
        stream::poll_fn(move |cx| self.turn(cx, |cx| request.poll_next_unpin(cx)))
    }

    fn turn<T>(
        self: &Arc<Self>,
        runtime: &Context<'_>,
        run: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.runtime.register(runtime.waker());
        self.is_woken.store(false, Ordering::SeqCst);
        self.is_running.store(true, Ordering::Relaxed);
        let polled = run(&mut Context::from_waker(&Waker::from(Arc::clone(self))));
        self.is_running.store(false, Ordering::Relaxed);
        if polled.is_pending() && !self.is_woken.load(Ordering::SeqCst) {
            if !has_budget_remaining() {
                // something may have been sent away without a look
                self.wake_by_ref();
            } else if self.reading.load(Ordering::SeqCst) == 0 {
                self.next();
            }
        }
        polled
    }

    /// Lets the batch go that waits the longest.
    fn next(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(batch) = waiting.pop_front() {
            if batch.send(()).is_ok() {
                return;
            }
        }
    }

    /// Returns when nothing else of the request can go on and it is the caller's turn; at once outside of a request.
    pub(super) async fn idle(&self) {
        if !self.is_running.load(Ordering::Relaxed) {
            return;
        }
        let (sender, turn) = oneshot::channel();
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting().push_back(sender);
        // a sender is not dropped before it is used
        let _ = unconstrained(turn).await;
    }

    /// A statement is under way until this is dropped.
    pub(super) fn reading(&self) -> Reading<'_> {
        self.reading.fetch_add(1, Ordering::SeqCst);
        Reading(&self.reading)
    }
}

/// A statement under way.
#[derive(Debug)]
pub(super) struct Reading<'a>(&'a AtomicUsize);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
