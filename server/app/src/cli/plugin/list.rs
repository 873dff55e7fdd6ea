//! `tamiz plugin list`: what is installed, and what the plugin folder holds.

use std::collections::HashMap;

use clap::Args;
use tamiz_core::plugin::PluginState;
use tamiz_core::{PluginId, TenantId};
use tamiz_host::Plugin;
use tamiz_store::plugin::InstalledPlugin;
use tamiz_store::plugin::operate::{self, ChoiceFor};
use tamiz_store::tenant;

use super::super::error::chain;
use super::super::operator::{away, in_transaction};
use super::super::{CliError, answer, open};
use super::named::SHORT;
use crate::config::Config;

/// Of what the list is.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// List the components of the plugin folder; the database is not asked
    #[arg(long)]
    folder: bool,
    /// Show those that are retired, too
    #[arg(long, conflicts_with = "folder")]
    all: bool,
}

/// What the registry holds.
struct Listed {
    plugins: Vec<InstalledPlugin>,
    choices: Vec<ChoiceFor>,
    tenants: HashMap<TenantId, String>,
}

pub(super) async fn run(args: ListArgs, config: &Config) -> Result<(), CliError> {
    if args.folder {
        return of_folder(config);
    }
    let listed = in_transaction(config, async |tx| {
        let tenants = tenant::list(tx).await.map_err(away)?;
        Ok(Listed {
            plugins: operate::list(tx).await.map_err(away)?,
            choices: operate::choices(tx).await.map_err(away)?,
            tenants: tenants
                .into_iter()
                .map(|tenant| (tenant.id, tenant.name))
                .collect(),
        })
    });
    let listed = listed.await.map_err(|error| match error {
        CliError::Unavailable(text) => {
            CliError::Unavailable(format!("{text}; `tamiz plugin list --folder` needs no database"))
        }
        other => other,
    })?;
    answer::print_line(&table(&listed, args.all))
}

fn table(listed: &Listed, with_retired: bool) -> String {
    let mut table = answer::table([
        "NAME",
        "VERSION",
        "SCAN TYPE",
        "STATE",
        "SOURCE",
        "FOR",
        "MAY USE",
        "CHOSEN BY",
        "SHA-256",
        "ID",
    ]);
    let mut shown: Vec<_> = listed
        .plugins
        .iter()
        .filter(|plugin| with_retired || plugin.state != PluginState::Retired)
        .collect();
    shown.sort_by(|one, other| {
        (&one.scan_type, &one.name, one.installed_at).cmp(&(
            &other.scan_type,
            &other.name,
            other.installed_at,
        ))
    });
    for plugin in shown {
        table.add_row([
            plugin.name.clone(),
            plugin.version.clone(),
            plugin.scan_type.to_string(),
            plugin.state.to_string(),
            plugin.source.to_string(),
            listed.whose(plugin.tenant, "everybody"),
            capabilities(plugin),
            listed.chosen_by(plugin.id),
            plugin.sha256.to_string()[..SHORT].to_owned(),
            plugin.id.to_string(),
        ]);
    }
    table.to_string()
}

impl Listed {
    fn whose(&self, tenant: Option<TenantId>, otherwise: &str) -> String {
        match tenant {
            None => otherwise.to_owned(),
            Some(id) => self.tenants.get(&id).cloned().unwrap_or_else(|| id.to_string()),
        }
    }

    fn chosen_by(&self, plugin: PluginId) -> String {
        let choices = self.choices.iter().filter(|choice| choice.plugin == plugin);
        let names: Vec<String> = choices
            .map(|choice| self.whose(choice.tenant, "the platform"))
            .collect();
        dash(names)
    }
}

/// What it wants, and whether it was granted.
fn capabilities(plugin: &InstalledPlugin) -> String {
    let words = plugin.wanted.iter().map(|wanted| {
        let granted = plugin.granted.iter().any(|granted| granted.as_str() == wanted);
        if granted {
            wanted.clone()
        } else {
            format!("({wanted})")
        }
    });
    dash(words.collect())
}

fn dash(words: Vec<String>) -> String {
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

fn of_folder(config: &Config) -> Result<(), CliError> {
    let registry = open::plugins(config)?;
    let mut table = answer::table(["NAME", "VERSION", "SCAN TYPE", "FORMATS", "SHA-256"]);
    for plugin in registry.plugins() {
        let about = plugin.description();
        table.add_row([
            about.name.clone(),
            about.version.clone(),
            about.scan_type.to_string(),
            formats(plugin),
            plugin.sha256()[..SHORT].to_owned(),
        ]);
    }
    answer::print_line(&table.to_string())?;
    for (path, error) in registry.refused() {
        eprintln!("refused {}: {}", path.display(), chain(error));
    }
    Ok(())
}

fn formats(plugin: &Plugin) -> String {
    let formats = &plugin.description().formats;
    let names: Vec<_> = formats.iter().map(|format| format.name.as_str()).collect();
    names.join(", ")
}
