//! `tamiz plugin build`: a project's component, checked by the real host.
//!
//! Also the first half of `tamiz plugin test`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use tamiz_host::Plugin;

use super::super::error::chain;
use super::super::{CliError, answer, open};
use crate::author::recipe::{self, Built};
use crate::author::{Language, Project, advice};
use crate::config::Config;

/// Which project.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &BuildArgs, config: &Config) -> Result<(), CliError> {
    let project = Project::open(&args.folder).map_err(|error| CliError::failed(&error))?;
    let (_, built) = build(&project, config)?;
    answer::print_line(&built.component.display().to_string())
}

/// Builds the project and loads what came out; says on standard error what happens meanwhile.
pub(super) fn build(project: &Project, config: &Config) -> Result<(Plugin, Built), CliError> {
    let built = recipe::build(project).map_err(|error| CliError::failed(&error))?;
    if built.unchanged {
        eprintln!("nothing changed since {} was built", built.component.display());
    }
    for note in &built.notes {
        eprintln!("note: {note}");
    }
    if !built.unchanged && project.manifest.language == Language::Python {
        eprintln!("compiling it once for this machine: CPython takes some 10 seconds");
    }
    let plugin = load(project, config)?;
    let about = plugin.description();
    if !built.unchanged {
        eprintln!(
            "built {} {} for {}: {} bytes, {} imports",
            about.name,
            about.version,
            about.scan_type,
            plugin.size_bytes(),
            plugin.imports().len()
        );
    }
    for note in notes(project, &plugin) {
        eprintln!("note: {note}");
    }
    Ok((plugin, built))
}

/// The project's component through the real host: compiled, its imports checked, described once.
pub(super) fn load(project: &Project, config: &Config) -> Result<Plugin, CliError> {
    let plugin = Plugin::load(&open::host(config)?, &project.component()).map_err(|error| {
        let mut text = chain(&error);
        if let Some(advice) = advice::refusal(&error) {
            text.push_str("\n  ");
            text.push_str(&advice);
        }
        CliError::Failed(text)
    })?;
    let about = plugin.description();
    let said = [
        ("name", &project.manifest.name, &about.name),
        ("version", &project.manifest.version, &about.version),
    ];
    for (word, manifest, description) in said {
        if manifest != description {
            return Err(CliError::Failed(format!(
                "tamiz-plugin.toml says {word} {manifest:?}, the plugin describes itself with {description:?}: make them the same"
            )));
        }
    }
    Ok(plugin)
}

/// What works, but hardly as the author thinks. Interpreters import all that they could ever use, so there
/// it says nothing about the plugin.
fn notes(project: &Project, plugin: &Plugin) -> Vec<String> {
    let mut notes = Vec::new();
    if project.manifest.language != Language::Rust {
        return notes;
    }
    let mut without = BTreeMap::new();
    for import in plugin.imports() {
        if let Some(capability) = advice::capability(import)
            && !project
                .manifest
                .capabilities
                .iter()
                .any(|wanted| wanted == capability)
        {
            without.entry(capability).or_insert(import);
        }
    }
    for (capability, import) in without {
        let meaning = advice::meaning(import);
        notes.push(format!(
            "it imports {import} and does not want `{capability}` ({meaning})"
        ));
    }
    notes
}
