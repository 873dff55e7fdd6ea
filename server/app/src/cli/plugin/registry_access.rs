//! The flags of every command that speaks to an OCI registry, and how its failures end.

use std::future::Future;

use clap::Args;

use super::super::CliError;
use crate::oci::{Access, OciError};

const PASSWORD_VARIABLE: &str = "TAMIZ_REGISTRY_PASSWORD";

/// How a registry is spoken to.
#[derive(Debug, Args)]
pub(super) struct RegistryArgs {
    /// Speak HTTP instead of HTTPS; needed for no registry on this machine
    #[arg(long)]
    plain_http: bool,
    /// Who to log in as, with the password from `TAMIZ_REGISTRY_PASSWORD`; otherwise what `docker login`
    /// left is used
    #[arg(long, value_name = "USER")]
    username: Option<String>,
}

impl RegistryArgs {
    /// # Errors
    /// [`CliError::Usage`] for a user without a password.
    pub(super) fn access(&self) -> Result<Access, CliError> {
        let login = match &self.username {
            None => None,
            Some(user) => {
                let password = std::env::var(PASSWORD_VARIABLE).map_err(|_| {
                    CliError::Usage(format!("--username needs the password in {PASSWORD_VARIABLE}"))
                })?;
                Some((user.clone(), password))
            }
        };
        Ok(Access {
            plain_http: self.plain_http,
            login,
        })
    }
}

/// Runs work with a registry to its end.
///
/// # Errors
/// As [`failed`].
pub(super) fn wait<T>(work: impl Future<Output = Result<T, OciError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::Failed(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(work);
    // A credential helper that hangs must not keep a finished command.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result.map_err(|error| failed(&error))
}

/// A registry's failure with the exit code that it has.
pub(super) fn failed(error: &OciError) -> CliError {
    match error {
        OciError::Reference { .. } | OciError::Credentials { .. } | OciError::Key { .. } => {
            CliError::Usage(super::super::error::chain(error))
        }
        OciError::Unreachable { .. } | OciError::TimedOut { .. } => CliError::unavailable(error),
        _ => CliError::failed(error),
    }
}
