//! The database that comes along: a Postgres cluster of our own under the data folder.
//!
//! Used when no `DATABASE_URL` is given. It listens on a Unix socket only, runs as an unprivileged
//! user when we are root, ends with us, and is started again with all its data after whatever
//! happened: a killed server, a killed Postgres, a stale pid file, a pid that now is someone else's.
//!
//! What a caller must know: hold the [`EmbeddedPostgres`] as long as the database is needed, end it
//! with [`EmbeddedPostgres::stop`], and watch [`EmbeddedPostgres::failed`], which resolves when
//! Postgres died more often than it is restarted. One data folder serves one process at a time.
//!
//! Not here: schemas and roles (see the store's migrations). Linux only: processes are found in `/proc`.

mod account;
mod binaries;
mod cluster;
mod leftovers;
mod memory;
mod server;
mod supervisor;

#[cfg(test)]
mod tests;

pub use supervisor::EmbeddedPostgres;

use std::io;
use std::path::PathBuf;

/// Why the embedded Postgres could not be had.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No usable server binaries.
    #[error("{0}")]
    Binaries(String),
    /// Another process has the data folder.
    #[error(
        "the data folder {} is in use by process {holder}: stop it, or choose another folder with --data-dir",
        data_dir.display()
    )]
    InUse {
        /// the folder
        data_dir: PathBuf,
        /// the pid that holds it, or `?`
        holder: String,
    },
    /// Nobody to run Postgres as.
    #[error(
        "Postgres must not run as root and there is neither a user `postgres` nor `nobody`: create one, \
         start tamiz as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,
    /// The file system refused something.
    #[error("cannot {what} {}", path.display())]
    File {
        /// what was being done
        what: &'static str,
        /// to what
        path: PathBuf,
        /// why not
        source: io::Error,
    },
    /// A Postgres program could not be started or failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// its name
        program: &'static str,
        /// its last words
        reason: String,
    },
    /// Processes of an earlier run would not end.
    #[error("processes of an earlier Postgres in {} do not end: {pids:?}", dir.display())]
    Leftovers {
        /// the cluster folder
        dir: PathBuf,
        /// who is still there
        pids: Vec<i32>,
    },
    /// Postgres kept dying.
    #[error("Postgres died {times} times in a row and is not started again; the last words are in {}", log.display())]
    GaveUp {
        /// how often it was started
        times: u32,
        /// its log
        log: PathBuf,
    },
}

impl EmbeddedError {
    fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> EmbeddedError {
        let path = path.into();
        move |source| EmbeddedError::File { what, path, source }
    }
}
