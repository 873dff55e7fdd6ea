//! `tamiz plugin push`: a plugin into an OCI registry.

use std::path::PathBuf;

use clap::Args;

use super::super::{CliError, answer};
use super::registry_access::{RegistryArgs, failed, wait};
use super::{key, package};
use crate::config::Config;
use crate::oci::{self, Reference};

/// What is pushed, and where to.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The component, or a plugin's folder
    path: PathBuf,
    /// Where to, such as registry.example/team/name:1.0.0
    reference: String,
    /// Sign it with this private key
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) fn run(args: &PushArgs, config: &Config) -> Result<(), CliError> {
    // What can be wrong here is said before a component is compiled.
    let reference: Reference = args.reference.parse().map_err(|error| failed(&error))?;
    let access = args.registry.access()?;
    let key = args.sign.as_deref().map(key::private).transpose()?;
    let artifact = package::artifact(&args.path, config)?;
    let pushed = wait(oci::push(&artifact, &reference, &access, key.as_ref()))?;
    let by_digest = reference.with_digest(&pushed.manifest_digest);
    let mut lines = vec![
        format!("reference  {by_digest}"),
        format!("digest     {}", pushed.manifest_digest),
    ];
    lines.extend(pushed.signed_by.map(|key| format!("signed by  {key}")));
    answer::print_line(&lines.join("\n"))
}
