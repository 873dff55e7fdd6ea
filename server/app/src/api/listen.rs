//! Accepting connections: how many, from whom, and for how long without a request.
//!
//! A connection is counted until its socket is closed, a websocket too. More than the limit wait in
//! the listener's queue; more than one address may hold are closed at once. A connection that sends no
//! whole request head within [`Limits::head`] is closed, whether it is a fresh one or has had answers.
//!
//! Not here: how often a client may ask (`guard`), how many streams a tenant may hold (`transport`).

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tamiz_store::shares::{Place, Shares};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::guard::{ClientAddress, RateKey};
use crate::config::{Network, Places};

/// File descriptors that are left to the database, to blobs and to tools.
const DESCRIPTORS_KEPT: u64 = 256;
/// Even where descriptors are scarce there are so many connections.
const CONNECTIONS_MIN: usize = 64;
/// A request head is some KiB; what takes longer waits for its next request, or for the end of days.
const HEAD: Duration = Duration::from_secs(30);
/// A client that takes nothing of what is sent for so long is gone, or means harm. Slow streams are ended before, with
/// a word (`transport`).
const STALLED_MAX: Duration = Duration::from_mins(1);
/// When accepting fails, descriptors or memory are short: somebody else has to give them back first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How many connections there may be and how patient the server is with them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// Of one address; of IPv6 of one network. Trusted proxies speak for many and are not counted.
    pub of_one_address: usize,
    /// Until the next request's head has arrived.
    pub head: Duration,
    /// Until the client takes some of what is sent.
    pub stalled: Duration,
}

impl Limits {
    /// What was asked for, as far as this process has file descriptors; it takes as many as it may have. With
    /// fewer the share of an address is smaller, too.
    pub fn of_process(wanted: Places) -> Self {
        let descriptors = raise_descriptors(wanted.connections as u64 + DESCRIPTORS_KEPT);
        let free = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_KEPT)).unwrap_or(usize::MAX);
        let connections = free.max(CONNECTIONS_MIN).min(wanted.connections);
        if connections < wanted.connections {
            tracing::warn!(
                connections,
                wanted = wanted.connections,
                "there are file descriptors for fewer connections"
            );
        }
        let of_one_address = wanted.connections_of_one_address * connections / wanted.connections.max(1);
        Self {
            connections,
            of_one_address: of_one_address.clamp(1, connections),
            head: HEAD,
            stalled: STALLED_MAX,
        }
    }
}

/// Asks for `wanted` file descriptors, and answers how many there may be.
fn raise_descriptors(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (Some(current), maximum) = (limit.current, limit.maximum.unwrap_or(u64::MAX)) else {
        return u64::MAX;
    };
    let raised = Rlimit {
        current: Some(wanted.min(maximum)),
        ..limit
    };
    if current < wanted && setrlimit(Resource::Nofile, raised).is_ok() {
        return wanted.min(maximum);
    }
    current
}

/// Serves `router` to whoever connects, until `shutdown`; returns when the last answer that was under
/// way by then is sent. Streams and websockets have to be ended by the router itself.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    proxies: &[Network],
    limits: Limits,
    shutdown: CancellationToken,
) {
    let all = Arc::new(Semaphore::new(limits.connections));
    let of_address = Shares::new(limits.of_one_address);
    let connections = TaskTracker::new();
    let accepting = async {
        // the semaphore is never closed
        while let Ok(of_all) = Arc::clone(&all).acquire_owned().await {
            let (socket, peer) = accept(&listener).await;
            let Ok(place) = place_of(peer, proxies, &of_address) else {
                metrics::counter!("tamiz_connections_refused_total").increment(1);
                continue;
            };
            // small answers and events are not to wait for more
            let _ = socket.set_nodelay(true);
            let socket = Counted {
                socket,
                stalled_max: limits.stalled,
                stalled: None,
                _of_all: of_all,
                _of_address: place,
            };
            let connection = connection(socket, peer, router.clone(), limits.head, shutdown.clone());
            connections.spawn(connection);
        }
    };
    shutdown.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // a client that left again before it was accepted is nobody's trouble
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Crowded;

/// A place for `peer`; none is needed for a trusted proxy.
fn place_of(
    peer: SocketAddr,
    proxies: &[Network],
    of_address: &Shares<RateKey>,
) -> Result<Option<Place>, Crowded> {
    let address: IpAddr = peer.ip().to_canonical();
    if proxies.iter().any(|network| network.contains(address)) {
        return Ok(None);
    }
    let place = of_address.take(ClientAddress(address).into());
    place.map(Some).ok_or(Crowded)
}

async fn connection(
    socket: Counted,
    peer: SocketAddr,
    router: Router,
    head: Duration,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answering = router.clone().oneshot(request);
        async move { answering.await.map_err(|never: Infallible| never) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // clients come and go; what a handler met is logged where it was met
        tracing::trace!(%peer, %error, "a connection ended early");
    }
}

/// A socket that gives its places back when it is closed, whoever owns it by then: an upgrade hands
/// it to the websocket.
///
/// A write that makes no progress for `stalled_max` fails, so that whoever does not read holds no place for ever.
struct Counted {
    socket: TcpStream,
    stalled_max: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Place>,
}

impl Counted {
    /// `written`, or a failure if nothing was for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled_max = self.stalled_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stalled_max)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, from);
        self.watch(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, from);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
