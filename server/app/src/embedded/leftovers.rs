//! Processes of an earlier Postgres on the same cluster, found and ended before a new one starts.
//!
//! The pid file cannot be trusted: its pid may be anybody's by now, and backends outlive a killed
//! postmaster. A process of the cluster is one named `postgres` whose working folder *is* the
//! cluster folder, by device and inode; it is signalled through a pid descriptor, so that a reused
//! pid is never hit.

use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::Instant;

use super::EmbeddedError;
use super::cluster::SOCKET_NAME;

/// A clean end writes a checkpoint; what is not written then is replayed from the log.
const FAST_SECONDS_MAX: u64 = 20;
/// An immediate end and a kill take no work.
const HARD_SECONDS_MAX: u64 = 5;
/// How often the process list is looked at; a look costs about a millisecond.
const LOOK_MILLISECONDS: u64 = 20;

/// Ends whatever still runs on the cluster and removes what it left behind.
pub(super) async fn end(dir: &Path, socket_dir: &Path) -> Result<(), EmbeddedError> {
    end_processes(dir).await?;
    for stale in [
        dir.join("postmaster.pid"),
        socket_dir.join(SOCKET_NAME),
        socket_dir.join(format!("{SOCKET_NAME}.lock")),
    ] {
        match std::fs::remove_file(&stale) {
            Ok(()) => tracing::debug!(file = %stale.display(), "removed a stale file of Postgres"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(EmbeddedError::file("remove", stale)(error)),
        }
    }
    Ok(())
}

async fn end_processes(dir: &Path) -> Result<(), EmbeddedError> {
    let found = members(dir)?;
    if found.is_empty() {
        return Ok(());
    }
    let pids: Vec<i32> = found.iter().map(|member| member.pid).collect();
    tracing::warn!(?pids, "ending a Postgres that outlived its tamiz");
    let leader = leader(dir).and_then(|pid| found.iter().find(|member| member.pid == pid));
    if let Some(leader) = leader {
        leader.signal(Signal::INT);
        if gone(dir, FAST_SECONDS_MAX).await? {
            return Ok(());
        }
    }
    for signal in [Signal::QUIT, Signal::KILL] {
        members(dir)?.iter().for_each(|member| member.signal(signal));
        if gone(dir, HARD_SECONDS_MAX).await? {
            return Ok(());
        }
    }
    let pids = members(dir)?.iter().map(|member| member.pid).collect();
    Err(EmbeddedError::Leftovers {
        dir: dir.to_owned(),
        pids,
    })
}

/// Waits until no process is left; false when the time is over.
async fn gone(dir: &Path, seconds_max: u64) -> Result<bool, EmbeddedError> {
    let deadline = Instant::now() + Duration::from_secs(seconds_max);
    while Instant::now() < deadline {
        if members(dir)?.is_empty() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MILLISECONDS)).await;
    }
    Ok(members(dir)?.is_empty())
}

/// The pid that the cluster's pid file names.
fn leader(dir: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(dir.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

pub(super) struct Member {
    pid: i32,
    descriptor: OwnedFd,
}

impl Member {
    /// A process that is gone already needs no signal.
    pub(super) fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&self.descriptor, signal) {
            tracing::debug!(pid = self.pid, %error, "a process of Postgres could not be signalled");
        }
    }
}

pub(super) fn members(dir: &Path) -> Result<Vec<Member>, EmbeddedError> {
    let cluster = std::fs::metadata(dir).map_err(EmbeddedError::file("read", dir))?;
    let entries = std::fs::read_dir("/proc").map_err(EmbeddedError::file("read", "/proc"))?;
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let members = pids.filter(|pid| belongs(*pid, &cluster)).filter_map(|pid| {
        let descriptor = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        // Looked at again: between the first look and the descriptor the pid may have changed hands.
        belongs(pid, &cluster).then_some(Member { pid, descriptor })
    });
    Ok(members.collect())
}

fn belongs(pid: i32, cluster: &Metadata) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let same_dir = std::fs::metadata(process.join("cwd"))
        .is_ok_and(|cwd| cwd.dev() == cluster.dev() && cwd.ino() == cluster.ino());
    same_dir
        && std::fs::read_to_string(process.join("comm"))
            .is_ok_and(|name| matches!(name.trim(), "postgres" | "postmaster"))
}
