//! The end of an attempt: a line of JSON, then the spool of findings, which goes to disk as it comes.
//!
//! Memory is the line and one piece, however many findings there are. The spool's length and hash are those
//! that the line says, or nothing is written.

use std::path::PathBuf;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::body::{Pieces, parse};
use super::bytes::refused;
use super::door::Holder;
use super::{Workers, stale};
use crate::api::errors::log_fault;
use crate::api::refused::Refused;
use crate::flow::take_in::take_in;
use crate::wire::{Ended, HandIn};

/// The line: totals with a thousand diagnostics, a session of a megabyte, runs of tools with their arguments.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The spool: findings of a run are at most 1 GiB of text, which JSON makes longer.
const SPOOL_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

pub(super) async fn finish(
    State(workers): State<Workers>,
    Holder(right): Holder,
    body: Body,
) -> Result<Json<Ended>, Refused> {
    let closed = |_| Refused::internal(log_fault(&std::io::Error::other("the server is going down")));
    let _turn = workers.inner.hand_ins.acquire().await.map_err(closed)?;
    let mut pieces = Pieces::of(body);
    let (handed_in, rest) = line(&mut pieces).await?;
    let folder = folder(&workers).await?;
    let spool = folder.folder.path().join("spool");
    receive(&handed_in, rest, &mut pieces, spool.clone()).await?;
    let (store, blobs) = (&workers.state.store, &workers.state.blobs);
    let status = take_in(store, blobs, &right, handed_in, spool)
        .await
        .map_err(refused)?;
    match status {
        Some(status) => Ok(Json(Ended { status: Some(status) })),
        None => Err(stale()),
    }
}

/// A folder that is locked as workers' are: one that starts on this machine removes those that nobody holds.
struct Folder {
    folder: TempDir,
    _lock: std::fs::File,
}

async fn folder(workers: &Workers) -> Result<Folder, Refused> {
    let root = workers.settings().scratch_dir.clone();
    let making = move || -> std::io::Result<Folder> {
        std::fs::create_dir_all(&root)?;
        // nobody sees the folder before it is locked
        let all = std::fs::File::open(&root)?;
        all.lock()?;
        let folder = tempfile::Builder::new().prefix("hand-in-").tempdir_in(&root)?;
        let lock = std::fs::File::open(folder.path())?;
        lock.lock()?;
        drop(all);
        Ok(Folder { folder, _lock: lock })
    };
    let made = tokio::task::spawn_blocking(making).await;
    made.unwrap_or_else(|error| Err(error.into()))
        .map_err(|error| Refused::internal(log_fault(&error)))
}

/// The first line, and what came with it of the rest.
async fn line(pieces: &mut Pieces) -> Result<(HandIn, Bytes), Refused> {
    let mut line = Vec::new();
    while let Some(mut piece) = pieces.next().await? {
        if let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&piece.split_to(end));
            let rest = piece.split_off(1);
            return Ok((parse(&line)?, rest));
        }
        line.extend_from_slice(&piece);
        if line.len() > LINE_BYTES_MAX {
            let message = format!("the first line has more than {LINE_BYTES_MAX} bytes");
            return Err(Refused::bad_request(message));
        }
    }
    Err(Refused::bad_request("the body has no first line"))
}

async fn receive(handed_in: &HandIn, rest: Bytes, pieces: &mut Pieces, path: PathBuf) -> Result<(), Refused> {
    let told = handed_in.results.as_ref().map_or((0, String::new()), |results| {
        (results.spool_bytes, results.spool_sha256.clone())
    });
    let (bytes, sha256) = told;
    if bytes > SPOOL_BYTES_MAX {
        return Err(Refused::too_large("FINDINGS_TOO_LARGE", SPOOL_BYTES_MAX));
    }
    let fault = |error: std::io::Error| Refused::internal(log_fault(&error));
    let mut file = File::create_new(path).await.map_err(fault)?;
    let (mut hash, mut written) = (Sha256::new(), 0);
    let mut next = Some(rest);
    while let Some(piece) = next {
        written += piece.len() as u64;
        if written > bytes {
            return Err(Refused::bad_request("more findings came than were announced"));
        }
        hash.update(&piece);
        file.write_all(&piece).await.map_err(fault)?;
        next = pieces.next().await?;
    }
    file.flush().await.map_err(fault)?;
    if handed_in.results.is_some() && (written != bytes || hex::encode(hash.finalize()) != sha256) {
        return Err(Refused::bad_request(
            "the findings are not those that were sent: nothing was stored",
        ));
    }
    Ok(())
}
