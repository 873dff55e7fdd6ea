//! `tamiz plugin choose`: which plugin serves a scan type, for everybody or for one tenant.

use clap::Args;
use tamiz_core::ScanType;
use tamiz_store::plugin::operate;

use super::super::operator::{away, in_transaction, tenant_named};
use super::super::{CliError, answer};
use super::named::{find, in_words};
use crate::config::Config;

/// What for, and which.
#[derive(Debug, Args)]
pub struct ChooseArgs {
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word
    #[arg(value_parser = ScanType::parse)]
    scan_type: ScanType,
    /// The beginning of its id or SHA-256, NAME@VERSION, or a name that only one has
    #[arg(required_unless_present = "default")]
    plugin: Option<String>,
    /// Take the choice back
    #[arg(long, conflicts_with = "plugin")]
    default: bool,
    /// For this tenant alone; for every tenant that chose nothing itself, if not said
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

pub(super) async fn run(args: ChooseArgs, config: &Config) -> Result<(), CliError> {
    let chosen = in_transaction(config, async |tx| {
        let tenant = match &args.tenant {
            Some(name) => Some(tenant_named(tx, name).await?),
            None => None,
        };
        let plugin = match &args.plugin {
            Some(name) => Some(find(tx, name).await?),
            None => None,
        };
        let id = plugin.as_ref().map(|plugin| plugin.id);
        let done = operate::choose_for(tx, tenant, &args.scan_type, id)
            .await
            .map_err(away)?;
        match plugin {
            Some(plugin) if !done => Err(CliError::Failed(format!(
                "{} is {}, serves {} and {}: it cannot be chosen for {}",
                in_words(&plugin),
                plugin.state,
                plugin.scan_type,
                plugin
                    .tenant
                    .map_or("is everybody's".to_owned(), |id| format!("is tenant {id}'s")),
                args.scan_type
            ))),
            plugin => Ok(plugin),
        }
    })
    .await?;
    let whom = args
        .tenant
        .as_deref()
        .unwrap_or("every tenant that chose nothing itself");
    answer::print_line(&match chosen {
        Some(plugin) => format!("{} serves {} for {whom}", in_words(&plugin), args.scan_type),
        None => format!("nothing is chosen any more for {} for {whom}", args.scan_type),
    })
}
