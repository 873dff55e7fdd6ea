//! `tamiz plugin new`: a project that builds, passes its test and is the author's own from then on.

use std::path::PathBuf;

use clap::Args;

use super::super::{CliError, answer};
use crate::author::Language;
use crate::author::project::NewProject;

/// What the project is to be.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The plugin's name: lower-case letters, digits and `-`
    name: String,
    /// What it is written in
    #[arg(long, value_enum)]
    lang: Language,
    /// What its reports are about: `codeaudit`, `web`, `osint`, `ssl`, `pcap` or a word of your own
    #[arg(long, value_name = "TYPE", default_value = "codeaudit")]
    scan_type: String,
    /// Where to make it [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

pub(super) fn run(args: &NewArgs) -> Result<(), CliError> {
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let project = NewProject {
        name: args.name.clone(),
        language: args.lang,
        scan_type: args.scan_type.clone(),
    };
    project
        .create(&folder)
        .map_err(|error| CliError::failed(&error))?;
    let entry = match args.lang {
        Language::Rust => "src/lib.rs",
        Language::Python => "convert.py",
        Language::Javascript => "convert.js",
    };
    answer::print(&format!(
        "made {folder}: a plugin in {language} that reads lines of JSON\n\
         next:\n\
         \x20 cd {folder}\n\
         \x20 tamiz plugin test          build it and convert cases/\n\
         \x20 $EDITOR {entry}\n\
         \x20 tamiz plugin test --bless  keep what it finds as what is expected\n",
        folder = folder.display(),
        language = args.lang.as_str(),
    ))
}
