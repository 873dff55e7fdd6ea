//! `tamiz queue`: the queue as the operator looks at it, puts it right, holds it back and sends it back.

mod check;
mod frame;
mod hold;
mod redrive;
mod top;

use clap::{Args, Subcommand};

use super::{CliError, ConfigFlags};

/// What can be done with the queue.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Watch the queue: what waits and runs per tenant and scan type, since when, how fast it goes
    Top(top::TopArgs),
    /// Compare the queue's counters with its tickets; fails when they differ and are not repaired
    Check(check::CheckArgs),
    /// Hold back what waits, of everybody or of one tenant, of all scan types or of one; what runs goes on
    #[command(after_help = "\
Examples:
  tamiz queue pause --reason \"the database moves\"
  tamiz queue pause --tenant acme --scan-type web")]
    Pause {
        /// What
        #[command(flatten)]
        held: Held,
        /// For people: tasks that wait say it
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let go on what was held back by the same words
    #[command(after_help = "\
Examples:
  tamiz queue resume
  tamiz queue resume --tenant acme --scan-type web")]
    Resume {
        /// What
        #[command(flatten)]
        held: Held,
    },
    /// List what is held back
    #[command(after_help = "\
Examples:
  tamiz queue paused")]
    Paused,
    /// Send ended tasks of a tenant back to the queue, each with fresh attempts
    #[command(after_help = "\
Examples:
  tamiz queue redrive --tenant acme --status dead_letter --dry-run
  tamiz queue redrive --tenant acme --status timeout --scan-type web --first 500")]
    Redrive(redrive::RedriveArgs),
}

/// What is held back.
#[derive(Debug, Args)]
pub struct Held {
    /// Of this tenant; of everybody if not said
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Of this scan type; of all if not said
    #[arg(long, value_name = "TYPE")]
    scan_type: Option<String>,
}

pub(super) async fn run(command: QueueCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    match command {
        QueueCommand::Top(args) => top::run(&args, &config).await,
        QueueCommand::Check(args) => check::run(&args, &config).await,
        QueueCommand::Pause { held, reason } => hold::pause(&config, &held, &reason).await,
        QueueCommand::Resume { held } => hold::resume(&config, &held).await,
        QueueCommand::Paused => hold::list(&config).await,
        QueueCommand::Redrive(args) => redrive::run(&config, &args).await,
    }
}
