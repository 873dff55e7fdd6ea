//! One claimed ticket at a server: its rows, its bytes, its end.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use reqwest::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use tamiz_core::plugin::ComponentDigest;
use tamiz_core::{PinnedTarget, TaskStatus, UploadId};
use tamiz_host::Plugin;
use tamiz_store::attempt::{Begin, Ending};
use tamiz_store::event::NewEvent;
use tamiz_store::secret_key::SECRET_KEY_BYTES;
use tamiz_store::upload::{StoredBlob, Upload};
use tamiz_store::worker_log::{NewLine, Written};
use tokio_util::io::ReaderStream;

use super::client::{As, Client, RemoteError};
use super::{Credential, DeskError};
use crate::flow::finish_attempt::AttemptYield;
use crate::flow::serve_attempt::Serving;
use crate::plugins::{LoadError, Plugins};
use crate::wire::{
    Begun, Ended, HandIn, Log, LogLine, Logged, Ours, Plugins as PluginsAnswer, Report, Results, SecretKey,
    Whither,
};

/// A piece of a file on its way.
const PIECE_BYTES: usize = 256 * 1024;

/// The desk of one claimed ticket, by its credential.
#[derive(Debug, Clone)]
pub(crate) struct RemoteTask {
    client: Client,
    credential: Arc<Credential>,
}

impl RemoteTask {
    pub(super) fn new(client: Client, credential: Arc<Credential>) -> Self {
        Self { client, credential }
    }

    fn holder(&self) -> As<'_> {
        As::Holder(&self.credential)
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        question: &Q,
    ) -> Result<A, RemoteError> {
        self.client.ask_as(self.holder(), path, question).await
    }

    /// For what changes nothing.
    async fn read<A: DeserializeOwned>(&self, path: &str) -> Result<A, RemoteError> {
        let nothing = json!({});
        self.client.patiently(|| self.ask(path, &nothing)).await
    }

    pub(crate) async fn begin(&self) -> Result<Begin, DeskError> {
        Ok(match self.ask("begin", &json!({})).await {
            Ok(Begun::Run(task)) => Begin::Run(task),
            Ok(Begun::Cancelled) => Begin::Cancelled,
            Ok(Begun::Dead) => Begin::Dead,
            Ok(Begun::Stale) => Begin::Stale,
            Err(error) if error.is_stale() => Begin::Stale,
            Err(error) => return Err(error.into()),
        })
    }

    pub(crate) async fn report(&self, event: &NewEvent<'_>) -> Result<bool, DeskError> {
        let report = Report {
            phase: event.phase,
            message: event.message.to_owned(),
            done: event.done,
            total: event.total,
        };
        match self.ask::<_, Ours>("report", &report).await {
            Ok(answer) => Ok(answer.ours),
            Err(error) if error.is_stale() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn log(&self, lines: &[NewLine]) -> Result<Written, DeskError> {
        let lines = lines.iter().map(|line| LogLine {
            level: line.level.as_str().to_owned(),
            message: line.message.clone(),
            age: u64::try_from(line.age.as_millis()).unwrap_or(u64::MAX),
        });
        let log = Log {
            lines: lines.collect(),
        };
        match self.ask::<_, Logged>("log", &log).await {
            Ok(answer) if answer.is_full => Ok(Written::Full),
            Ok(_) => Ok(Written::All),
            Err(error) if error.is_stale() => Ok(Written::Late),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn plugins(&self) -> Result<Serving, DeskError> {
        let answer: PluginsAnswer = self.read("plugins").await?;
        Ok(Serving {
            plan: answer.plan,
            plugins: answer.plugins,
        })
    }

    /// Compiled here, as everywhere; only the bytes come from the server.
    pub(crate) async fn load(
        &self,
        plugins: &Plugins,
        digest: ComponentDigest,
        size_bytes: u64,
    ) -> Result<Arc<Plugin>, LoadError> {
        let task = self.clone();
        plugins
            .load_from(digest, async move { task.component(digest, size_bytes).await })
            .await
    }

    async fn component(&self, digest: ComponentDigest, size_bytes: u64) -> Result<Vec<u8>, LoadError> {
        let failed = |error: RemoteError| {
            if error.is_absent() {
                LoadError::Missing
            } else {
                LoadError::Unavailable(Arc::new(error))
            }
        };
        let folder = tempfile::tempdir().map_err(|error| failed(error.into()))?;
        let path = folder.path().join("component");
        let path_in = format!("components/{digest}");
        let fetched = self
            .fetch_into(&path_in, &path, (size_bytes, digest.bytes()))
            .await;
        fetched.map_err(failed)?;
        tokio::fs::read(&path).await.map_err(|error| failed(error.into()))
    }

    async fn fetch_into(&self, path: &str, into: &Path, told: (u64, [u8; 32])) -> Result<(), RemoteError> {
        let once = || {
            self.client
                .fetch(self.client.get(self.holder(), path), into, told)
        };
        self.client.patiently(once).await
    }

    pub(crate) async fn target(&self) -> Result<Option<(PinnedTarget, String)>, DeskError> {
        let answer: Whither = self.read("target").await?;
        Ok(answer.target)
    }

    pub(crate) async fn upload(&self, id: UploadId) -> Result<Option<Upload>, DeskError> {
        let path = format!("uploads/{id}");
        let once = || self.client.read(self.holder(), &path);
        match self.client.patiently(once).await {
            Ok(upload) => Ok(Some(upload)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn fetch(&self, upload: &Upload, into: &Path) -> Result<(), DeskError> {
        let told = (upload.blob.size_bytes, upload.blob.hash);
        let path = format!("uploads/{}/bytes", upload.id);
        Ok(self.fetch_into(&path, into, told).await?)
    }

    pub(crate) async fn secret_key(&self) -> Result<[u8; SECRET_KEY_BYTES], DeskError> {
        let answer: SecretKey = self.read("secret-key").await?;
        let mut key = [0; SECRET_KEY_BYTES];
        hex::decode_to_slice(&answer.key, &mut key)
            .map_err(|error| RemoteError::from(io::Error::other(error)))?;
        Ok(key)
    }

    pub(crate) async fn put_artifact(&self, path: &Path, bytes_max: u64) -> Result<StoredBlob, DeskError> {
        let (size_bytes, hash) = measure(path.to_owned()).await?;
        if size_bytes > bytes_max {
            return Err(crate::blob::BlobError::TooLarge { bytes_max }.into());
        }
        let once = || async {
            let request = self.client.put_request(self.holder(), "artifacts");
            let body = Body::wrap_stream(pieces(path).await?);
            let stored: StoredBlob = self.client.put(request, size_bytes, body).await?;
            if (stored.size_bytes, stored.hash) != (size_bytes, hash) {
                let what = path.display().to_string();
                return Err(RemoteError::Damaged { what });
            }
            Ok(stored)
        };
        Ok(self.client.patiently(once).await?)
    }

    pub(crate) async fn finish(
        &self,
        yielded: &AttemptYield,
        ending: &Ending,
    ) -> Result<Option<TaskStatus>, DeskError> {
        let spool = yielded.results.as_ref().map(|results| results.spool.as_path());
        let (size_bytes, hash) = match spool {
            Some(spool) => measure(spool.to_owned()).await?,
            None => (0, Sha256::digest([]).into()),
        };
        let results = yielded.results.as_ref().map(|results| Results {
            summary: results.summary.clone(),
            report_path: results.report_path.clone(),
            session: results.session.clone(),
            spool_bytes: size_bytes,
            spool_sha256: hex::encode(hash),
        });
        let handed_in = HandIn {
            executions: yielded.executions.clone(),
            artifacts: yielded.artifacts.clone(),
            results,
            ending: ending.clone(),
        };
        let mut line =
            serde_json::to_vec(&handed_in).map_err(|error| RemoteError::from(io::Error::from(error)))?;
        line.push(b'\n');
        let request = self.client.post(self.holder(), "finish");
        let length = line.len() as u64 + size_bytes;
        let head = stream::iter([io::Result::Ok(Bytes::from(line))]);
        let body = match spool {
            Some(spool) => Body::wrap_stream(head.chain(pieces(spool).await.map_err(RemoteError::from)?)),
            None => Body::wrap_stream(head),
        };
        match self.client.put::<Ended>(request, length, body).await {
            Ok(ended) => Ok(ended.status),
            Err(error) if error.is_stale() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

async fn pieces(path: &Path) -> io::Result<ReaderStream<tokio::fs::File>> {
    let file = tokio::fs::File::open(path).await?;
    Ok(ReaderStream::with_capacity(file, PIECE_BYTES))
}

/// Length and hash of a file.
async fn measure(path: PathBuf) -> Result<(u64, [u8; 32]), RemoteError> {
    let measuring = move || {
        let (mut file, mut hash, mut bytes) = (std::fs::File::open(path)?, Sha256::new(), 0);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return Ok((bytes, hash.finalize().into()));
            }
            hash.update(&piece[..count]);
            bytes += count as u64;
        }
    };
    let measured: io::Result<_> = tokio::task::spawn_blocking(measuring)
        .await
        .map_err(io::Error::other)?;
    Ok(measured?)
}
