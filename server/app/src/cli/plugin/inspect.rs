//! `tamiz plugin inspect`: what a component, or a project's, is and wants.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use tamiz_host::{Census, Plugin};

use super::super::error::chain;
use super::super::{CliError, answer, open};
use crate::author::inspection::Inspection;
use crate::author::{Project, advice};
use crate::config::Config;

/// Which component.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A component's file, or a project's folder after `tamiz plugin build`
    #[arg(value_name = "FILE|DIR")]
    from: PathBuf,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

pub(super) fn run(args: &InspectArgs, config: &Config) -> Result<(), CliError> {
    let project = if args.from.is_dir() {
        Some(Project::open(&args.from).map_err(|error| CliError::failed(&error))?)
    } else {
        None
    };
    let path = project
        .as_ref()
        .map_or_else(|| args.from.clone(), Project::component);
    if project.is_some() && !path.is_file() {
        let folder = args.from.display();
        return Err(CliError::Failed(format!(
            "{} is not there yet: `tamiz plugin build {folder}` makes it",
            path.display()
        )));
    }
    let refused = |error: tamiz_host::PluginError| {
        let advice = advice::refusal(&error).map_or_else(String::new, |advice| format!("\n  {advice}"));
        CliError::Failed(format!("{}{advice}", chain(&error)))
    };
    let plugin = Plugin::load(&open::host(config)?, &path).map_err(refused)?;
    // The host has just loaded it, so it is no larger than the host's limit.
    debug_assert!(plugin.size_bytes() <= Census::CEILINGS.bytes);
    let component = fs::read(&path)
        .map_err(|error| CliError::Failed(format!("cannot read {}: {error}", path.display())))?;
    let manifest = project.as_ref().map(|project| &project.manifest);
    let inspection = Inspection::of(&plugin, &component, &super::run::limits(config), manifest)
        .map_err(|error| CliError::failed(&error))?;
    match args.format {
        Format::Text => answer::print(&inspection.text()),
        Format::Json => {
            let document = serde_json::to_string_pretty(&inspection);
            answer::print_line(&document.map_err(|error| CliError::failed(&error))?)
        }
    }
}
