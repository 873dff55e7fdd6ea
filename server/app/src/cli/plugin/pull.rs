//! `tamiz plugin pull`: a component out of an OCI registry.

use std::path::PathBuf;

use clap::Args;

use super::super::{CliError, answer};
use super::key;
use super::registry_access::{RegistryArgs, failed, wait};
use crate::oci::{self, Reference};

/// What is pulled, and where to.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// What to pull, such as registry.example/team/name:1.0.0
    reference: String,
    /// Where to write the component; otherwise the repository's last name and `.wasm`
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Refuse it unless this public key signed it; may be given more than once, one must fit
    #[arg(long, value_name = "PUB")]
    verify: Vec<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) fn run(args: &PullArgs) -> Result<(), CliError> {
    let reference: Reference = args.reference.parse().map_err(|error| failed(&error))?;
    let access = args.registry.access()?;
    let keys = key::public_keys(&args.verify)?;
    let keys = (!keys.is_empty()).then_some(keys.as_slice());
    let pulled = wait(oci::pull_verified(&reference, &access, keys))?;
    let default = || PathBuf::from(format!("{}.wasm", reference.name()));
    let path = args.output.clone().unwrap_or_else(default);
    oci::write_file(&path, &pulled.bytes).map_err(|error| failed(&error))?;
    let mut lines = vec![
        format!("file       {} ({} bytes)", path.display(), pulled.bytes.len()),
        format!("reference  {}", pulled.reference),
    ];
    lines.extend(pulled.signed_by.map(|key| format!("signed by  {key}")));
    answer::print_line(&lines.join("\n"))
}
