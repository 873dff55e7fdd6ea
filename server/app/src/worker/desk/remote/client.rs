//! One HTTP client for a server: questions in JSON, bytes both ways, and what a refusal means.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tamiz_core::{Refusal, WorkerId};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::Credential;
use super::access::Access;
use super::refused::refused;
use crate::wire::{
    PROTOCOL, PROTOCOL_HEADER, STALE_ATTEMPT, Terms, WAIT_SECONDS_MAX, WORKER_HEADER, WORKER_UNKNOWN,
};

/// A server across the world answers a connection within a second.
const CONNECT_SECONDS_MAX: u64 = 10;
/// A question; the server's own transactions are shorter.
const ASK_SECONDS_MAX: u64 = 60;
/// Between two pieces of bytes.
const STALL_SECONDS_MAX: u64 = 60;
/// Half a million findings are stored in a few minutes.
const STORE_SECONDS_MAX: u64 = 900;
/// The server ends whoever is slower.
const BYTES_PER_SECOND_MIN: u64 = 32 * 1024;
/// Servers close connections that idle for longer than 30 s; ours go first, so that no question meets a
/// closing door.
const IDLE: Duration = Duration::from_secs(15);
/// A question that failed and may be put again is, for this long: the server restarts, or asks for a pause.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// The longest pause that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// An answer in JSON: a task with its options, or all plugins of a type with their schemas.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A refusal.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Why the server did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It was not reached, or went away.
    #[error("{server} cannot be reached")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It took too long.
    #[error("{server} did not answer in time")]
    Late {
        /// Its address.
        server: String,
    },
    /// It said no.
    #[error("{server} refuses: {refusal} ({code}, {status})", code = .refusal.code)]
    Refused {
        /// Its address.
        server: String,
        /// Of HTTP.
        status: StatusCode,
        /// In its words.
        refusal: Box<Refusal>,
        /// What it asked to wait.
        retry_after: Option<Duration>,
    },
    /// Something answered that is no such server.
    #[error("{server} is no Tamiz server, or not of this version: {why}")]
    Garbled {
        /// Its address.
        server: String,
        /// What was wrong.
        why: String,
    },
    /// A file on this side.
    #[error("a file cannot be read or written")]
    File(#[from] std::io::Error),
    /// The bytes are not those that were sent.
    #[error("the bytes of {what} are damaged")]
    Damaged {
        /// Which.
        what: String,
    },
}

impl RemoteError {
    /// Whether asking again may help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } | Self::Damaged { .. } => true,
            Self::Refused { status, .. } => status.is_server_error() || [429, 408].contains(&status.as_u16()),
            Self::Garbled { .. } | Self::File(_) => false,
        }
    }

    /// The attempt is not the task's any more, or its lease was not renewed in time.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Refused { status, refusal, .. }
            if refusal.code == STALE_ATTEMPT || *status == StatusCode::UNAUTHORIZED)
    }

    pub(super) fn is_worker_unknown(&self) -> bool {
        matches!(self, Self::Refused { refusal, .. } if refusal.code == WORKER_UNKNOWN)
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// What it refused of the task itself, if it did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refused_with(&[StatusCode::UNPROCESSABLE_ENTITY, StatusCode::PAYLOAD_TOO_LARGE])
    }

    /// The same of an attempt's end, for which a request that is wrong is ours to account for, too.
    pub(crate) fn refused_hand_in(&self) -> Option<Refusal> {
        self.refusal()
            .or_else(|| self.refused_with(&[StatusCode::BAD_REQUEST]))
    }

    fn refused_with(&self, statuses: &[StatusCode]) -> Option<Refusal> {
        match self {
            Self::Refused { status, refusal, .. } if statuses.contains(status) => Some((**refusal).clone()),
            _ => None,
        }
    }

    /// The token is not valid any more, or the versions differ: asking again will not help.
    pub(crate) fn is_dismissal(&self) -> bool {
        let statuses = [StatusCode::UNAUTHORIZED, StatusCode::UPGRADE_REQUIRED];
        matches!(self, Self::Refused { status, .. } if statuses.contains(status))
    }

    /// What is to be waited before asking again.
    pub(crate) fn pause(&self) -> Duration {
        match self {
            Self::Refused {
                retry_after: Some(pause),
                ..
            } => (*pause).min(PAUSE_MAX),
            _ => PAUSE,
        }
    }
}

/// How a question shows who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum As<'a> {
    Worker(WorkerId),
    /// By what the credential is when the question is put.
    Holder(&'a Credential),
}

/// A server and how it is asked. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    access: Access,
    http: reqwest::Client,
}

impl Client {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`RemoteError::Unreachable`] when this machine has no certificates to trust.
    pub fn new(access: Access) -> Result<Self, RemoteError> {
        let mut builder = reqwest::Client::builder();
        if access.stays_here {
            // another machine's proxy would get what shall not leave this one
            builder = builder.no_proxy();
        }
        let http = builder
            .user_agent(concat!("tamiz-worker/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .pool_idle_timeout(IDLE)
            // a token must not follow an answer elsewhere
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let http = http.map_err(|source| RemoteError::Unreachable {
            server: access.to_string(),
            source,
        })?;
        Ok(Self { access, http })
    }

    /// What holds for this server's workers; also the first question, which finds out whether address, token
    /// and version are right. Waits a while for a server that is not up yet.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub(crate) async fn terms(&self) -> Result<Terms, RemoteError> {
        let nobody = As::Worker(WorkerId::fresh());
        self.patiently(|| self.read(nobody, "terms")).await
    }

    /// Puts a question once.
    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        worker: WorkerId,
        path: &str,
        question: &Q,
    ) -> Result<A, RemoteError> {
        self.ask_as(As::Worker(worker), path, question).await
    }

    /// The same, as whoever.
    pub(super) async fn ask_as<Q: Serialize, A: DeserializeOwned>(
        &self,
        who: As<'_>,
        path: &str,
        question: &Q,
    ) -> Result<A, RemoteError> {
        self.json(self.post(who, path).json(question), ASK_SECONDS_MAX)
            .await
    }

    /// Reads something.
    pub(super) async fn read<A: DeserializeOwned>(&self, who: As<'_>, path: &str) -> Result<A, RemoteError> {
        self.json(self.get(who, path), ASK_SECONDS_MAX).await
    }

    /// Puts a question whose answer may wait for something.
    pub(super) async fn wait<Q: Serialize, A: DeserializeOwned>(
        &self,
        worker: WorkerId,
        path: &str,
        question: &Q,
    ) -> Result<A, RemoteError> {
        let patience = WAIT_SECONDS_MAX + ASK_SECONDS_MAX;
        self.json(self.post(As::Worker(worker), path).json(question), patience)
            .await
    }

    /// Puts a question again while that may help; only for those that change nothing, or the same.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, RemoteError>>>(
        &self,
        once: impl Fn() -> F,
    ) -> Result<T, RemoteError> {
        let ends_at = Instant::now() + PATIENCE;
        loop {
            match once().await {
                Err(error) if error.may_pass() && Instant::now() < ends_at => sleep(error.pause()).await,
                done => return done,
            }
        }
    }

    fn shown(&self, who: As<'_>, request: RequestBuilder) -> RequestBuilder {
        let request = request.header(PROTOCOL_HEADER, PROTOCOL);
        match who {
            As::Worker(worker) => request
                .bearer_auth(self.access.token.reveal())
                .header(WORKER_HEADER, worker.to_string()),
            As::Holder(credential) => request.bearer_auth(credential.get()),
        }
    }

    fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.access.root)
    }

    pub(super) fn get(&self, who: As<'_>, path: &str) -> RequestBuilder {
        self.shown(who, self.http.get(self.address(path)))
    }

    pub(super) fn post(&self, who: As<'_>, path: &str) -> RequestBuilder {
        self.shown(who, self.http.post(self.address(path)))
    }

    /// Sends a request; the answer's head, when it is a good one.
    async fn send(&self, request: RequestBuilder) -> Result<Response, RemoteError> {
        let answer = request.send().await.map_err(|source| self.lost(source))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let retry_after = headers.get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = self.body(answer, REFUSAL_BYTES_MAX).await.unwrap_or_default();
        let retry_after = retry_after.map(Duration::from_secs);
        Err(refused(self.access.to_string(), status, retry_after, &body))
    }

    pub(super) async fn json<A: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        seconds_max: u64,
    ) -> Result<A, RemoteError> {
        let asking = async {
            let answer = self.send(request).await?;
            let body = self.body(answer, ANSWER_BYTES_MAX).await?;
            serde_json::from_slice(&body).map_err(|error| RemoteError::Garbled {
                server: self.access.to_string(),
                why: format!("its answer is not understood: {error}"),
            })
        };
        self.in_time(seconds_max, asking).await
    }

    async fn in_time<T>(
        &self,
        seconds_max: u64,
        work: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let late = || RemoteError::Late {
            server: self.access.to_string(),
        };
        let patience = Duration::from_secs(seconds_max);
        timeout(patience, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn body(&self, answer: Response, bytes_max: usize) -> Result<Vec<u8>, RemoteError> {
        let (mut body, mut pieces) = (Vec::new(), answer.bytes_stream());
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|source| self.lost(source))?);
            if body.len() > bytes_max {
                return Err(RemoteError::Garbled {
                    server: self.access.to_string(),
                    why: format!("its answer has more than {bytes_max} bytes"),
                });
            }
        }
        Ok(body)
    }

    fn lost(&self, source: reqwest::Error) -> RemoteError {
        RemoteError::Unreachable {
            server: self.access.to_string(),
            // the address is said already
            source: source.without_url(),
        }
    }

    /// Bytes into a new file, which must have that length and hash.
    pub(super) async fn fetch(
        &self,
        request: RequestBuilder,
        into: &Path,
        (size_bytes, hash): (u64, [u8; 32]),
    ) -> Result<(), RemoteError> {
        let answer = self.in_time(ASK_SECONDS_MAX, self.send(request)).await?;
        let mut file = tokio::fs::File::create(into).await?;
        let (mut pieces, mut hasher, mut written) = (answer.bytes_stream(), Sha256::new(), 0);
        while let Some(piece) = self
            .in_time(STALL_SECONDS_MAX, async { Ok(pieces.next().await) })
            .await?
        {
            let piece = piece.map_err(|source| self.lost(source))?;
            written += piece.len() as u64;
            if written > size_bytes {
                break;
            }
            hasher.update(&piece);
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        if written == size_bytes && <[u8; 32]>::from(hasher.finalize()) == hash {
            return Ok(());
        }
        Err(RemoteError::Damaged {
            what: into.display().to_string(),
        })
    }

    /// Sends `size_bytes` of `body`; the answer as JSON.
    pub(super) async fn put<A: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        size_bytes: u64,
        body: Body,
    ) -> Result<A, RemoteError> {
        let request = request
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size_bytes)
            .body(body);
        let patience = STORE_SECONDS_MAX + size_bytes / BYTES_PER_SECOND_MIN;
        self.json(request, patience).await
    }

    pub(super) fn put_request(&self, who: As<'_>, path: &str) -> RequestBuilder {
        self.shown(who, self.http.put(self.address(path)))
    }
}
