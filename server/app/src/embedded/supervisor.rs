//! Keeps the server running: started again when it dies, given up when it keeps dying.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::EmbeddedError;
use super::cluster::{CLUSTER_DIR, Cluster, SOCKET_NAME, is_locked, lock, socket_dir, url_of};
use super::server::{START_SECONDS_MAX, Server};

/// Starts in a row after which a person has to look.
const STARTS_MAX: u32 = 10;
/// The wait before the first new start; doubles from there. A killed server needs no pause.
const BACKOFF_MILLISECONDS: u64 = 100;
/// The longest wait before a new start.
const BACKOFF_MILLISECONDS_MAX: u64 = 10_000;
/// A server that ran this long was healthy; counting starts again.
const HEALTHY_SECONDS: u64 = 60;
/// The grace when the owner went away without saying how long it has.
const ORPHAN_GRACE_SECONDS: u64 = 10;

/// A Postgres cluster of our own, running as long as this is held.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    url: String,
    pid: watch::Receiver<Option<u32>>,
    stop: oneshot::Sender<Duration>,
    supervisor: JoinHandle<Result<(), EmbeddedError>>,
}

impl EmbeddedPostgres {
    /// Starts the cluster of a data folder, making it first when there is none, and returns when it
    /// takes connections. A Postgres left over from a killed process is ended first.
    ///
    /// # Errors
    /// [`EmbeddedError`], each variant saying what to do.
    pub async fn start(data_dir: &Path) -> Result<EmbeddedPostgres, EmbeddedError> {
        let data_dir = std::path::absolute(data_dir).map_err(EmbeddedError::file("find", data_dir))?;
        let held = lock(&data_dir).await?;
        let cluster = Cluster::open(&data_dir).await?;
        let url = cluster.url();
        let server = Server::launch(&cluster).await?;
        tracing::info!(pid = server.pid(), folder = %cluster.dir.display(), "Postgres is running");
        let (pid_sender, pid) = watch::channel(server.pid());
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise(cluster, server, stopped, pid_sender, held));
        Ok(EmbeddedPostgres {
            url,
            pid,
            stop,
            supervisor,
        })
    }

    /// The address of the cluster of a data folder when another process runs it; waits until it takes
    /// connections. None when nobody runs it.
    ///
    /// # Errors
    /// [`EmbeddedError::File`] when the folder is there but cannot be looked into.
    pub async fn running(data_dir: &Path) -> Result<Option<String>, EmbeddedError> {
        let data_dir = std::path::absolute(data_dir).map_err(EmbeddedError::file("find", data_dir))?;
        let socket_dir = socket_dir(&data_dir.join(CLUSTER_DIR));
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while Instant::now() < deadline {
            if !is_locked(&data_dir)? {
                return Ok(None);
            }
            if tokio::net::UnixStream::connect(socket_dir.join(SOCKET_NAME))
                .await
                .is_ok()
            {
                return Ok(Some(url_of(&socket_dir)));
            }
            tokio::time::sleep(Duration::from_millis(BACKOFF_MILLISECONDS)).await;
        }
        let reason = format!("the process that runs it has not brought it up in {START_SECONDS_MAX} s");
        Err(EmbeddedError::Program {
            program: "postgres",
            reason,
        })
    }

    /// The database's address, for its superuser: `postgres:///tamiz?host=<socket folder>&user=…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The postmaster's pid; none while it is being started again.
    pub fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// Resolves when Postgres died too often to be started again. Cancel-safe.
    pub async fn failed(&mut self) -> EmbeddedError {
        match (&mut self.supervisor).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => EmbeddedError::Program {
                program: "postgres",
                reason: "it was stopped".to_owned(),
            },
            Err(error) => EmbeddedError::Program {
                program: "postgres",
                reason: error.to_string(),
            },
        }
    }

    /// Ends Postgres: a clean shutdown within the grace, then a hard one. Nothing committed is lost.
    pub async fn stop(self, grace: Duration) {
        if self.stop.send(grace).is_ok()
            && let Ok(Err(error)) = self.supervisor.await
        {
            tracing::warn!(%error, "Postgres had failed before it was stopped");
        }
    }
}

async fn supervise(
    cluster: Cluster,
    mut server: Server,
    mut stop: oneshot::Receiver<Duration>,
    pid: watch::Sender<Option<u32>>,
    _held: File,
) -> Result<(), EmbeddedError> {
    let mut starts = 0;
    loop {
        let began = Instant::now();
        tokio::select! {
            grace = &mut stop => {
                server.stop(grace.unwrap_or(Duration::from_secs(ORPHAN_GRACE_SECONDS))).await;
                return Ok(());
            }
            status = server.ended() => {
                pid.send_replace(None);
                let status = status.map(|status| status.to_string());
                tracing::error!(status, "Postgres died and is started again");
            }
        }
        if began.elapsed() >= Duration::from_secs(HEALTHY_SECONDS) {
            starts = 0;
        }
        server = tokio::select! {
            _ = &mut stop => return Ok(()),
            launched = relaunch(&cluster, &mut starts) => launched?,
        };
        pid.send_replace(server.pid());
        tracing::info!(pid = server.pid(), "Postgres is running again");
    }
}

async fn relaunch(cluster: &Cluster, starts: &mut u32) -> Result<Server, EmbeddedError> {
    while *starts < STARTS_MAX {
        let doubled = BACKOFF_MILLISECONDS.saturating_mul(1 << *starts);
        *starts += 1;
        tokio::time::sleep(Duration::from_millis(doubled.min(BACKOFF_MILLISECONDS_MAX))).await;
        match Server::launch(cluster).await {
            Ok(server) => return Ok(server),
            Err(error) => tracing::error!(%error, attempt = *starts, "Postgres could not be started"),
        }
    }
    Err(EmbeddedError::GaveUp {
        times: *starts,
        log: cluster.log.clone(),
    })
}
