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
use rustix::process::{Resource, getrlimit};
use tamiz_store::shares::{Place, Shares};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::guard::{ClientAddress, RateKey};
use crate::config::Network;

/// Connections of one server; each costs some 20 KiB and a file descriptor.
const CONNECTIONS_MAX: usize = 10_000;
/// File descriptors that are left to the database, to blobs and to tools.
const DESCRIPTORS_KEPT: u64 = 256;
/// Even where descriptors are scarce there are so many connections.
const CONNECTIONS_MIN: usize = 64;
/// One address may hold all connections divided by this.
const ADDRESSES_MIN: usize = 4;
/// A request head is some KiB; what takes longer waits for its next request, or for the end of days.
const HEAD: Duration = Duration::from_secs(30);
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
}

impl Limits {
    /// What this process can bear.
    pub fn of_process() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let free = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_KEPT)).unwrap_or(usize::MAX);
        let connections = free.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Self {
            connections,
            of_one_address: connections / ADDRESSES_MIN,
            head: HEAD,
        }
    }
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
struct Counted {
    socket: TcpStream,
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Place>,
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
        Pin::new(&mut self.socket).poll_write(context, from)
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
        Pin::new(&mut self.socket).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
