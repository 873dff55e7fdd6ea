//! `tamiz plugin grant` and `revoke`: what a plugin may do beyond conversion.

use clap::Args;
use tamiz_core::plugin::Capability;
use tamiz_store::plugin::{InstalledPlugin, operate};

use super::super::operator::{away, in_transaction};
use super::super::{CliError, answer};
use super::named::{find, in_words};
use crate::config::Config;

/// Whom, and what.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// The beginning of its id or SHA-256, NAME@VERSION, or a name that only one has
    plugin: String,
    /// network (sockets to the task's target alone), clock or randomness
    capability: Capability,
}

pub(super) async fn grant(args: GrantArgs, config: &Config) -> Result<(), CliError> {
    let plugin = in_transaction(config, async |tx| {
        let plugin = find(tx, &args.plugin).await?;
        if operate::grant(tx, plugin.id, args.capability)
            .await
            .map_err(away)?
        {
            Ok(plugin)
        } else {
            Err(not_wanted(&plugin, args.capability))
        }
    })
    .await?;
    answer::print_line(&format!("{} may use: {}", in_words(&plugin), args.capability))
}

pub(super) async fn revoke(args: GrantArgs, config: &Config) -> Result<(), CliError> {
    let (plugin, had) = in_transaction(config, async |tx| {
        let plugin = find(tx, &args.plugin).await?;
        let had = operate::revoke(tx, plugin.id, args.capability)
            .await
            .map_err(away)?;
        Ok((plugin, had))
    })
    .await?;
    let word = if had { "no longer use" } else { "not use" };
    answer::print_line(&format!("{} may {word}: {}", in_words(&plugin), args.capability))
}

pub(super) fn not_wanted(plugin: &InstalledPlugin, capability: Capability) -> CliError {
    let wanted = match &plugin.wanted[..] {
        [] => "nothing beyond conversion".to_owned(),
        words => words.join(", "),
    };
    CliError::Failed(format!(
        "{} does not want {capability}; it wants {wanted}",
        in_words(plugin)
    ))
}
