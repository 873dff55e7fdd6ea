//! Targets on this machine: a page that counts who calls, and a name server whose answer changes.
//!
//! Each ends with its value.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

const ANSWER: &[u8] = b"HTTP/1.0 200 OK\r\nServer: door-test\r\nContent-Type: text/html\r\n\
                        Connection: close\r\n\r\n<html><title>Door</title></html>\n";
const FLOOD_CHUNK_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    AnswersOnce,
    Floods,
}

/// A page on an address of the loopback.
pub(super) struct Page {
    address: Ipv4Addr,
    pub(super) port: u16,
    calls: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl Page {
    pub(super) async fn serve(address: Ipv4Addr) -> Self {
        Self::start(address, 0, Manner::Answers).await
    }

    pub(super) async fn serve_at(address: Ipv4Addr, port: u16) -> Self {
        Self::start(address, port, Manner::Answers).await
    }

    /// Nobody is there any more after the first answer.
    pub(super) async fn serve_once(address: Ipv4Addr) -> Self {
        Self::start(address, 0, Manner::AnswersOnce).await
    }

    /// Its answers to anything but the worker's question never end.
    pub(super) async fn flood(address: Ipv4Addr) -> Self {
        Self::start(address, 0, Manner::Floods).await
    }

    async fn start(address: Ipv4Addr, port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind((address, port)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let calls = Arc::new(AtomicU64::new(0));
        let counted = calls.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                if manner == Manner::AnswersOnce {
                    drop(listener);
                    answer(stream, manner).await;
                    return;
                }
                tokio::spawn(answer(stream, manner));
            }
        });
        Self {
            address,
            port,
            calls,
            serving,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}:{}/", self.address, self.port)
    }

    /// Connections so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Whoever hangs up is done.
async fn answer(mut stream: TcpStream, manner: Manner) {
    let mut words = Vec::new();
    while !words.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => words.push(byte),
            Err(_) => return,
        }
    }
    if stream.write_all(ANSWER).await.is_err() || manner != Manner::Floods || words.starts_with(b"HEAD") {
        return;
    }
    let chunk = vec![b'x'; FLOOD_CHUNK_BYTES];
    while stream.write_all(&chunk).await.is_ok() {}
}

/// A port on which nobody listens, and which the system gives to nobody soon.
pub(super) fn dead_port() -> u16 {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    taken.local_addr().expect("an address").port()
}

/// A name server for which every name has one address, until it moves.
pub(crate) struct Names {
    pub(crate) address: SocketAddr,
    place: Arc<Mutex<Ipv4Addr>>,
    questions: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl Names {
    pub(crate) async fn serve(place: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let place = Arc::new(Mutex::new(place));
        let questions = Arc::new(AtomicU64::new(0));
        let (current, counted) = (place.clone(), questions.clone());
        let serving = tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                counted.fetch_add(1, Ordering::Relaxed);
                let place = *current.lock().expect("never poisoned");
                // Who asked may be gone.
                let _ = socket.send_to(&said(&question[..length], place), from).await;
            }
        });
        Self {
            address,
            place,
            questions,
            serving,
        }
    }

    pub(crate) fn move_to(&self, place: Ipv4Addr) {
        *self.place.lock().expect("never poisoned") = place;
    }

    pub(super) fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The question with an address behind it, if it asks for one of IPv4.
fn said(question: &[u8], place: Ipv4Addr) -> Vec<u8> {
    let is_address = question.ends_with(&[0, 1, 0, 1]);
    let mut answer = question.to_vec();
    answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_address)]);
    if is_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(place.octets());
    }
    answer
}
