//! `tamiz postgres`, hidden: the embedded Postgres alone, for scripts.
//!
//! Prints the database's address as one line on standard output once it takes connections, and runs
//! until SIGTERM, Ctrl-C, or the end of its standard input when that is a pipe.

use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;

use super::{CliError, ConfigFlags, asked_to_end, start_logs};
use crate::embedded::EmbeddedPostgres;

/// Run the embedded Postgres alone and print its address
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tamiz postgres --data-dir target/test-postgres")]
pub struct PostgresArgs {}

/// A clean shutdown of a test cluster; what takes longer is ended hard and recovered later.
const GRACE_SECONDS: u64 = 10;

pub(super) async fn run(_args: PostgresArgs, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    start_logs(&config.log);
    let started = EmbeddedPostgres::start(&config.data_dir).await;
    let mut postgres = started.map_err(|error| CliError::unavailable(&error))?;
    let mut output = std::io::stdout();
    let printed = writeln!(output, "{}", postgres.url()).and_then(|()| output.flush());
    let ended = if let Err(error) = printed {
        Err(CliError::Failed(format!("cannot print the address: {error}")))
    } else {
        tokio::select! {
            asked = asked_to_end() => asked.map(|_| ()),
            () = input_closed() => Ok(()),
            error = postgres.failed() => return Err(CliError::unavailable(&error)),
        }
    };
    postgres.stop(Duration::from_secs(GRACE_SECONDS)).await;
    ended
}

/// Resolves at the end of standard input, never when that is no pipe: a shell gives background jobs
/// an empty one.
async fn input_closed() {
    let is_pipe = std::fs::metadata("/dev/stdin")
        .is_ok_and(|metadata| metadata.file_type().is_fifo() || metadata.file_type().is_socket());
    if !is_pipe {
        return std::future::pending().await;
    }
    let (sender, closed) = oneshot::channel();
    // A thread of its own: it blocks until the end of input and must not hold up the runtime's end.
    std::thread::spawn(move || {
        let mut piece = [0; 1024];
        let mut input = std::io::stdin();
        while input.read(&mut piece).is_ok_and(|count| count > 0) {}
        // The receiver is gone when the process ends for another reason.
        let _ = sender.send(());
    });
    if closed.await.is_err() {
        std::future::pending::<()>().await;
    }
}
