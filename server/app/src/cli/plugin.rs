//! `tamiz plugin`: what is installed, and what one component says about itself.

mod run;
mod unpacked;

use std::path::PathBuf;

use clap::Subcommand;

use tamiz_host::Plugin;

use super::{CliError, ConfigFlags, answer, open};
use crate::config::Config;

/// What can be asked about plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins of the plugin folder
    #[command(after_help = "\
Examples:
  tamiz plugin list
  tamiz plugin list --set plugin_dir=/usr/lib/tamiz/plugins")]
    List,
    /// Check a component and print what it says about itself
    #[command(after_help = "\
Examples:
  tamiz plugin inspect target/plugins/codeaudit.wasm")]
    Inspect {
        /// The component
        file: PathBuf,
    },
    /// Convert reports on this machine, without a server
    #[command(after_help = "\
Examples:
  tamiz plugin run semgrep.json
  tamiz plugin run nikto.xml --format json
  tamiz plugin run traffic.pcap.gz
  tamiz plugin run report.json --plugin ./hello.wasm --options '{\"strict\":true}'
  tamiz plugin run semgrep.json --source ~/src/shop --format sarif > findings.sarif")]
    Run(run::RunArgs),
}

pub(super) fn run(command: PluginCommand, flags: &ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    match command {
        PluginCommand::List => list(&config),
        PluginCommand::Inspect { file } => {
            let plugin =
                Plugin::load(&open::host(&config)?, &file).map_err(|error| CliError::failed(&error))?;
            answer::print(&inspect(&plugin))
        }
        PluginCommand::Run(args) => run::run(&args, &config),
    }
}

fn list(config: &Config) -> Result<(), CliError> {
    let registry = open::plugins(config)?;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["NAME", "VERSION", "SCAN TYPE", "FORMATS", "SHA-256"]);
    for plugin in registry.plugins() {
        let about = plugin.description();
        table.add_row([
            about.name.clone(),
            about.version.clone(),
            about.scan_type.to_string(),
            formats(plugin),
            plugin.sha256()[..12].to_owned(),
        ]);
    }
    answer::print_line(&table.to_string())?;
    for (path, error) in registry.refused() {
        eprintln!("refused {}: {}", path.display(), super::error::chain(error));
    }
    Ok(())
}

fn formats(plugin: &Plugin) -> String {
    let names: Vec<_> = plugin
        .description()
        .formats
        .iter()
        .map(|format| format.name.as_str())
        .collect();
    names.join(", ")
}

fn inspect(plugin: &Plugin) -> String {
    let about = plugin.description();
    let mut lines = vec![
        format!("name       {}", about.name),
        format!("version    {}", about.version),
        format!("scan type  {}", about.scan_type),
        format!("sha256     {}", plugin.sha256()),
        format!("size       {} bytes", plugin.size_bytes()),
    ];
    let imports = plugin.imports().iter();
    lines.extend(imports.map(|import| format!("imports    {import}")));
    let formats = about.formats.iter();
    lines.extend(formats.map(|format| format!("reads      {} ({})", format.name, format.tools.join(", "))));
    lines.push(format!("options    {}\n", about.options_schema));
    lines.join("\n")
}
