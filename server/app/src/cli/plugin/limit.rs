//! `tamiz plugin limit`: what one plugin may use up.

use clap::Args;
use tamiz_store::plugin::operate;

use super::super::operator::{away, in_transaction};
use super::super::{CliError, answer, limits};
use super::named::{find, in_words};
use crate::config::Config;

/// Which plugin, and its limits.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// The beginning of its id or SHA-256, NAME@VERSION, or a name that only one has
    plugin: String,
    /// LIMIT=VALUE; without any, its limits are shown
    #[arg(value_name = "LIMIT=VALUE")]
    limits: Vec<String>,
}

pub(super) async fn run(args: LimitArgs, config: &Config) -> Result<(), CliError> {
    let (plugin, set) = in_transaction(config, async |tx| {
        let plugin = find(tx, &args.plugin).await?;
        let set = limits::apply(plugin.limits, &args.limits)?;
        if set != plugin.limits {
            operate::set_limits(tx, plugin.id, set).await.map_err(away)?;
        }
        Ok((plugin, set))
    })
    .await?;
    answer::print_line(&format!(
        "{} has limits: {}",
        in_words(&plugin),
        limits::show(&set)
    ))
}
