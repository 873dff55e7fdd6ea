//! `tamiz serve`: the whole server.

use clap::Args;

use super::flags::flag;
use super::{CliError, ConfigFlags};
use crate::config::Flag;

/// Run the server: API, queue and, unless told otherwise, a worker
#[derive(Debug, Args)]
#[command(after_help = "\
Without DATABASE_URL an embedded Postgres is started below the data folder and ends with the server.

Examples:
  tamiz serve
  tamiz serve --listen 0.0.0.0:8600 --data-dir /var/lib/tamiz
  DATABASE_URL=postgres://tamiz@db/tamiz tamiz serve --no-worker")]
pub struct ServeArgs {
    /// Listen here [default: 127.0.0.1:8600]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Leave the work to `tamiz worker` processes
    #[arg(long)]
    no_worker: bool,
}

impl ServeArgs {
    /// What the flags say about the configuration.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags: Vec<Flag> = self.listen.iter().map(|listen| flag("listen", listen)).collect();
        if self.no_worker {
            flags.push(Flag {
                flag: "--no-worker".to_owned(),
                key: "worker_in_process".to_owned(),
                value: "false".to_owned(),
            });
        }
        flags
    }
}

pub(super) async fn run(args: ServeArgs, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(args.flags())?.config;
    Err(CliError::Failed(format!("serving on {} is not wired yet", config.listen)))
}
