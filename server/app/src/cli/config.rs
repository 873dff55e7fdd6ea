//! `tamiz config check`: what holds, where it came from, and every mistake at once.

use clap::Subcommand;

use super::{CliError, ConfigFlags, answer};
use crate::config;

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every key, its value, where it came from and what it overrode; secrets are masked
    #[command(after_help = "\
Layers, later wins: defaults, environment (TAMIZ_<KEY>, DATABASE_URL), tamiz.toml, flags.

Examples:
  tamiz config check
  tamiz config check --config /etc/tamiz.toml --set lease_seconds=1m")]
    Check,
}

pub(super) fn run(command: &ConfigCommand, flags: &ConfigFlags) -> Result<(), CliError> {
    let ConfigCommand::Check = command;
    let outcome = config::load(flags.config.clone(), flags.flags(Vec::new())?);
    answer::print(&config::render(&outcome))?;
    let loaded = outcome?;
    for warning in &loaded.warnings {
        eprintln!("tamiz: warning: {warning}");
    }
    Ok(())
}
