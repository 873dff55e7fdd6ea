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
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";

    struct Server {
        address: SocketAddr,
        shutdown: CancellationToken,
        /// A slow request has come.
        come: Arc<Notify>,
        /// It may be answered.
        go: Arc<Notify>,
        serving: JoinHandle<()>,
    }

    async fn start(proxies: &[&str], limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (come, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, slow) = (Arc::clone(&come), Arc::clone(&go));
        let router = Router::new()
            .route(
                "/",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
            )
            .route(
                "/slow",
                get(|| async move {
                    told.notify_one();
                    slow.notified().await;
                    "done"
                }),
            );
        let shutdown = CancellationToken::new();
        let proxies: Vec<Network> = proxies.iter().map(|network| network.parse().unwrap()).collect();
        let token = shutdown.clone();
        let serving = tokio::spawn(async move { serve(listener, router, &proxies, limits, token).await });
        Server {
            address,
            shutdown,
            come,
            go,
            serving,
        }
    }

    const WIDE: Limits = Limits {
        connections: 100,
        of_one_address: 100,
        head: PATIENCE,
    };

    async fn connect(server: &Server) -> TcpStream {
        TcpStream::connect(server.address).await.unwrap()
    }

    /// What the server answers to one request on `socket`.
    async fn ask(socket: &mut TcpStream) -> io::Result<String> {
        socket.write_all(ASK).await?;
        let mut answer = vec![0; 4096];
        let length = timeout(PATIENCE, socket.read(&mut answer)).await.unwrap()?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    async fn is_closed(socket: &mut TcpStream) -> bool {
        let mut rest = Vec::new();
        timeout(PATIENCE, socket.read_to_end(&mut rest)).await.is_ok()
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_closed_before_and_after_its_first() {
        let server = start(
            &[],
            Limits {
                head: Duration::from_millis(200),
                ..WIDE
            },
        )
        .await;
        let mut silent = connect(&server).await;
        let mut half = connect(&server).await;
        half.write_all(&ASK[..10]).await.unwrap();
        let mut kept = connect(&server).await;
        let answer = ask(&mut kept).await.unwrap();
        assert!(
            answer.ends_with(&kept.local_addr().unwrap().to_string()),
            "{answer}"
        );
        for socket in [&mut silent, &mut half, &mut kept] {
            assert!(is_closed(socket).await);
        }
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_than_a_request() {
        let head = Duration::from_millis(100);
        let server = start(&[], Limits { head, ..WIDE }).await;
        let mut socket = connect(&server).await;
        socket.write_all(SLOW).await.unwrap();
        timeout(PATIENCE, server.come.notified()).await.unwrap();
        sleep(head * 4).await;
        server.go.notify_one();
        let mut answer = String::new();
        timeout(PATIENCE, socket.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_a_trusted_proxy_any_number() {
        let limits = Limits {
            of_one_address: 2,
            ..WIDE
        };
        for (proxies, served) in [(&[][..], false), (&["127.0.0.0/8"][..], true)] {
            let server = start(proxies, limits).await;
            let mut held = Vec::new();
            for _ in 0..2 {
                let mut socket = connect(&server).await;
                assert!(ask(&mut socket).await.unwrap().contains("200 OK"));
                held.push(socket);
            }
            let mut third = connect(&server).await;
            let answer = ask(&mut third).await.unwrap_or_default();
            assert_eq!(answer.contains("200 OK"), served, "{proxies:?}");
        }
    }

    #[tokio::test]
    async fn more_connections_than_places_wait_for_one() {
        let limits = Limits {
            connections: 1,
            ..WIDE
        };
        let server = start(&[], limits).await;
        let mut first = connect(&server).await;
        assert!(ask(&mut first).await.unwrap().contains("200 OK"));
        let mut second = connect(&server).await;
        let mut asking = Box::pin(ask(&mut second));
        assert!(timeout(Duration::from_millis(200), &mut asking).await.is_err());
        drop(first);
        assert!(asking.await.unwrap().contains("200 OK"));
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_answers_and_not_for_idle_connections() {
        let server = start(&[], WIDE).await;
        let mut idle = connect(&server).await;
        assert!(ask(&mut idle).await.unwrap().contains("200 OK"));
        let mut busy = connect(&server).await;
        busy.write_all(SLOW).await.unwrap();
        timeout(PATIENCE, server.come.notified()).await.unwrap();
        server.shutdown.cancel();
        assert!(is_closed(&mut idle).await);
        assert!(!server.serving.is_finished());
        server.go.notify_one();
        let mut answer = String::new();
        timeout(PATIENCE, busy.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        timeout(PATIENCE, server.serving).await.unwrap().unwrap();
    }
}
