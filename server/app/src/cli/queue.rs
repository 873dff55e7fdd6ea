//! `tamiz queue`: the queue as the operator looks at it and puts it right.

mod check;
mod frame;
mod top;

use clap::Subcommand;

use super::{CliError, ConfigFlags};

/// What can be done with the queue.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    Top(top::TopArgs),
    Check(check::CheckArgs),
}

pub(super) async fn run(command: QueueCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    match command {
        QueueCommand::Top(args) => top::run(&args, &config).await,
        QueueCommand::Check(args) => check::run(&args, &config).await,
    }
}
