//! A receiver of webhooks on 127.0.0.1: keeps what comes and answers what it was told to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::harness::wait::SOON;
use crate::harness::{text, until};

/// What it does with a call.
#[derive(Clone)]
pub(super) enum Manner {
    /// A status with this text.
    Says(u16, String),
    /// Never an answer.
    Hangs,
    /// Another place is said to be the right one.
    SendsTo(String),
}

/// One call.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    /// Whether the standard's own library takes it for signed with this secret, now.
    pub(super) fn is_signed_with(&self, secret: &str) -> bool {
        let mut headers = reqwest::header::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let name = reqwest::header::HeaderName::from_static(name);
            headers.insert(name.clone(), self.headers[name.as_str()].parse().unwrap());
        }
        let verifier = Webhook::new(secret).expect("a secret in the standard's form");
        verifier.verify(&self.body, &headers).is_ok()
    }
}

pub(super) struct Receiver {
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
    manners: Arc<Mutex<VecDeque<Manner>>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// Takes everything, after what `manners` say of the first calls.
    pub(super) async fn start(manners: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let manners = Arc::new(Mutex::new(manners.iter().cloned().collect::<VecDeque<_>>()));
        let (kept, next) = (calls.clone(), manners.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, next) = (kept.clone(), next.clone());
                tokio::spawn(answer(stream, kept, next));
            }
        });
        Self {
            port,
            calls,
            manners,
            serving,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?of=test", self.port)
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// What it does with the next call.
    pub(super) fn next(&self, manner: Manner) {
        self.manners.lock().unwrap().push_back(manner);
    }

    /// Waits for so many calls.
    pub(super) async fn has(&self, count: usize) -> Vec<Call> {
        until("calls of a receiver", SOON, async || {
            let calls = self.calls();
            (calls.len() >= count).then_some(calls)
        })
        .await
    }

    /// Waits for a call that tells this.
    pub(super) async fn hears(&self, event: &str) -> Call {
        until("a message", SOON, async || {
            let mut calls = self.calls().into_iter();
            calls.find(|call| text(&call.json()["type"]) == event)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream, calls: Arc<Mutex<Vec<Call>>>, manners: Arc<Mutex<VecDeque<Manner>>>) {
    let Some(call) = read(&mut stream).await else {
        return;
    };
    calls.lock().unwrap().push(call);
    let manner = manners.lock().unwrap().pop_front();
    let (status, extra, said) = match manner {
        None => (204, String::new(), String::new()),
        Some(Manner::Says(status, said)) => (status, String::new(), said),
        Some(Manner::SendsTo(place)) => (302, format!("Location: {place}\r\n"), String::new()),
        Some(Manner::Hangs) => {
            // until the caller is gone
            let _ = stream.read_u8().await;
            return;
        }
    };
    let length = said.len();
    let text = format!(
        "HTTP/1.1 {status} Said\r\n{extra}Content-Length: {length}\r\nConnection: close\r\n\r\n{said}"
    );
    // who asked may be gone
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Call> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let headers: HashMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(Call { headers, body })
}
