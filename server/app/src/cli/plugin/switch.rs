//! `tamiz plugin enable` and `disable`: whether a plugin serves new tasks.

use clap::Args;
use tamiz_core::plugin::PluginState;
use tamiz_store::plugin::operate::{self, StateChange};

use super::super::operator::{away, in_transaction};
use super::super::{CliError, answer};
use super::named::{find, in_words};
use crate::config::Config;

/// Which plugin.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// The beginning of its id or SHA-256, NAME@VERSION, or a name that only one has
    plugin: String,
}

pub(super) async fn enable(args: SwitchArgs, config: &Config) -> Result<(), CliError> {
    let plugin = set(&args, config, PluginState::Active).await?;
    answer::print_line(&format!("{plugin} serves new tasks"))
}

pub(super) async fn disable(args: SwitchArgs, config: &Config) -> Result<(), CliError> {
    let plugin = set(&args, config, PluginState::Disabled).await?;
    answer::print_line(&format!(
        "{plugin} serves no task any more; those that wait for it alone fail"
    ))
}

async fn set(args: &SwitchArgs, config: &Config, state: PluginState) -> Result<String, CliError> {
    in_transaction(config, async |tx| {
        let plugin = find(tx, &args.plugin).await?;
        match operate::set_state(tx, plugin.id, state).await.map_err(away)? {
            StateChange::Done => Ok(in_words(&plugin)),
            StateChange::Unknown => Err(CliError::Failed(format!("{} is gone", in_words(&plugin)))),
            StateChange::VersionTaken(other) => Err(CliError::Failed(format!(
                "{} cannot come back: plugin {other} has its name and version",
                in_words(&plugin)
            ))),
        }
    })
    .await
}
