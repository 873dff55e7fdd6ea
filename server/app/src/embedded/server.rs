//! One run of the Postgres server: started, awaited until it answers, ended.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::Instant;

use super::EmbeddedError;
use super::cluster::{Cluster, rotate_log};
use super::leftovers;

/// Crash recovery replays at most `max_wal_size`, which a slow disk does in minutes.
pub(super) const START_SECONDS_MAX: u64 = 300;
/// How often the pid file is looked at while the server starts.
const LOOK_MILLISECONDS: u64 = 10;
/// An immediate shutdown takes no work.
const IMMEDIATE_SECONDS_MAX: u64 = 5;

/// A running server. Dropped without [`Server::stop`], it is told to end but not waited for.
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Ends what an earlier run left, starts the server and waits until it takes connections.
    pub(super) async fn launch(cluster: &Cluster) -> Result<Server, EmbeddedError> {
        leftovers::end(&cluster.dir, &cluster.socket_dir).await?;
        rotate_log(&cluster.log);
        let failed = |reason: String| EmbeddedError::Program {
            program: "postgres",
            reason,
        };
        let child = cluster
            .server()?
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let mut server = Server { child };
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while Instant::now() < deadline {
            if let Some(status) = server
                .child
                .try_wait()
                .map_err(|error| failed(error.to_string()))?
            {
                let last = last_line(&cluster.log);
                let log = cluster.log.display();
                return Err(failed(format!(
                    "it ended while starting ({status}): {last} (see {log})"
                )));
            }
            if server.is_ready(&cluster.dir) {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MILLISECONDS)).await;
        }
        Err(failed(format!(
            "not ready after {START_SECONDS_MAX} s (see {})",
            cluster.log.display()
        )))
    }

    /// The eighth line of the pid file says `ready` once connections are taken.
    fn is_ready(&self, dir: &Path) -> bool {
        let text = std::fs::read_to_string(dir.join("postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.trim().parse::<u32>().ok());
        pid.is_some() && pid == self.child.id() && lines.nth(6).is_some_and(|status| status.trim() == "ready")
    }

    /// The pid of the postmaster while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the server ends by itself.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }

    /// Ends the server: fast within the grace, then at once.
    pub(super) async fn stop(&mut self, grace: Duration) {
        for (signal, wait) in [
            (Signal::INT, grace),
            (Signal::QUIT, Duration::from_secs(IMMEDIATE_SECONDS_MAX)),
            (Signal::KILL, Duration::from_secs(IMMEDIATE_SECONDS_MAX)),
        ] {
            self.signal(signal);
            if tokio::time::timeout(wait, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(?signal, "Postgres did not end in time");
        }
    }

    /// The child is not reaped before its id is gone, so the pid is its own.
    fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::warn!(%error, "Postgres could not be signalled");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    // The fatal line says why; the ones after it only say that.
    let telling = text
        .lines()
        .rev()
        .find(|line| line.contains("FATAL:") || line.contains("PANIC:"));
    telling
        .or(text.lines().next_back())
        .unwrap_or("no message")
        .to_owned()
}
