//! Connections that idle, crowd or outlive a shutdown.

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
        .route("/flood", get(|| async { vec![b'x'; 64 << 20] }))
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
    stalled: PATIENCE,
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
async fn a_client_that_does_not_read_is_let_go() {
    let limits = Limits {
        connections: 1,
        stalled: Duration::from_millis(300),
        ..WIDE
    };
    let server = start(&[], limits).await;
    let mut deaf = connect(&server).await;
    deaf.write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // the only place is free again, although the socket is still open on this side
    let mut next = connect(&server).await;
    assert!(ask(&mut next).await.unwrap().contains("200 OK"));
    drop(deaf);
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
