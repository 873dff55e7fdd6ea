//! The end of an attempt: a line of JSON, then the spool of findings, which goes to disk as it comes.
//!
//! Memory is the line and one piece, however many findings there are. The spool's length and hash are those
//! that the line says, or nothing is written.

use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use sha2::{Digest, Sha256};
use tamiz_core::TaskStatus;
use tamiz_store::credential::LeaseRight;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::body::{BYTES_PER_SECOND_MIN, parse};
use super::bytes::refused;
use super::door::Holder;
use super::spools::Part;
use super::turns::{busy, detached};
use super::{Workers, stale, unavailable};
use crate::api::errors::log_fault;
use crate::api::pieces::Pieces;
use crate::api::refused::Refused;
use crate::flow::take_in::{Standing, standing, take_in};
use crate::wire::{Ended, HandIn};

/// The line: totals with a thousand diagnostics, a session of a megabyte, runs of tools with their arguments.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The spool: findings of a run are at most 1 GiB of text, which JSON makes longer.
const SPOOL_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// For the hand-ins before to be stored: each is bounded by the time that a statement has.
const TURN_MAX: Duration = Duration::from_mins(5);

pub(super) async fn finish(
    State(workers): State<Workers>,
    Holder(right): Holder,
    body: Body,
) -> Result<Json<Ended>, Refused> {
    detached(take(workers, right, body)).await
}

async fn take(workers: Workers, right: LeaseRight, body: Body) -> Result<Json<Ended>, Refused> {
    let _turn = workers.inner.handing_in.enter(&right)?;
    let mut pieces = Pieces::of(body, BYTES_PER_SECOND_MIN);
    let (store, blobs) = (&workers.state.store, &workers.state.blobs);
    match standing(store, &right).await.map_err(unavailable)? {
        Standing::Runs(_) => {}
        Standing::Ended(status) => return over(&mut pieces, Some(status)).await,
        Standing::Over => return over(&mut pieces, None).await,
    }
    let (handed_in, rest) = line(&mut pieces).await?;
    let spools = &workers.inner.spools;
    let making = std::sync::Arc::clone(spools);
    let made = tokio::task::spawn_blocking(move || making.folder()).await;
    let folder = made
        .unwrap_or_else(|error| Err(error.into()))
        .map_err(|error| Refused::internal(log_fault(&error)))?;
    let (spool, mut part) = (folder.path().join("spool"), spools.part());
    receive(&handed_in, rest, &mut pieces, spool.clone(), &mut part).await?;
    // after the body: whoever sends slowly holds up nobody
    let permit = timeout(TURN_MAX, workers.inner.hand_ins.acquire()).await;
    let Ok(Ok(_permit)) = permit else {
        return Err(busy("too many attempts end at once: try again"));
    };
    let status = take_in(store, blobs, &right, handed_in, spool)
        .await
        .map_err(refused)?;
    told(status)
}

/// What ended already is answered once the body is through: a client that is still sending would not hear it.
async fn over(pieces: &mut Pieces, status: Option<TaskStatus>) -> Result<Json<Ended>, Refused> {
    while pieces.next().await?.is_some() {}
    told(status)
}

fn told(status: Option<TaskStatus>) -> Result<Json<Ended>, Refused> {
    let status = status.ok_or_else(stale)?;
    Ok(Json(Ended { status: Some(status) }))
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

async fn receive(
    handed_in: &HandIn,
    rest: Bytes,
    pieces: &mut Pieces,
    path: PathBuf,
    part: &mut Part,
) -> Result<(), Refused> {
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
        if !part.take(piece.len() as u64) {
            return Err(busy("too many findings are handed in at once: try again"));
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
