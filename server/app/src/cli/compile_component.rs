//! `tamiz compile-component`, hidden: the throw-away child in which the host compiles a plugin.

use std::path::PathBuf;

use clap::Args;

use super::CliError;

/// Compile one component; started by the server, never by a person
#[derive(Debug, Args)]
pub struct CompileComponentArgs {
    /// The component
    #[arg(long)]
    input: PathBuf,
    /// Where its compiled form goes
    #[arg(long)]
    output: PathBuf,
}

pub(super) fn run(args: &CompileComponentArgs) -> Result<(), CliError> {
    tamiz_host::compile_child_main(&args.input, &args.output).map_err(|error| CliError::failed(&error))
}
