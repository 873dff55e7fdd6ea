//! How a command ends: what is said, and with which exit code.

use std::error::Error;
use std::process::ExitCode;

pub(super) use crate::causes::chain;
use crate::config::ConfigError;

/// What the exit codes mean, as `--help` says it.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    it failed, or findings reached --fail-on
  2    the command line or the configuration is wrong
  3    the server, the database or a file store is not available
  130  interrupted";

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is wrong: exit 2.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong: exit 2.
    #[error(transparent)]
    Config(#[from] Box<ConfigError>),
    /// Something outside does not answer: exit 3.
    #[error("{0}")]
    Unavailable(String),
    /// It was tried and failed: exit 1.
    #[error("{0}")]
    Failed(String),
    /// All went well, but not what was found: exit 1, said by the command itself.
    #[error("findings reached the threshold")]
    Findings,
    /// Ctrl-C: exit 130.
    #[error("interrupted")]
    Interrupted,
}

impl CliError {
    /// A failure with all its causes in one line.
    pub fn failed(error: &dyn Error) -> CliError {
        CliError::Failed(chain(error))
    }

    /// An absent service with all its causes in one line.
    pub fn unavailable(error: &dyn Error) -> CliError {
        CliError::Unavailable(chain(error))
    }

    /// Says what went wrong and gives the exit code.
    pub(super) fn report(&self) -> ExitCode {
        match self {
            CliError::Config(error) => {
                for line in error.problems.iter().chain(&error.warnings) {
                    eprintln!("tamiz: {line}");
                }
            }
            CliError::Findings => {}
            other => eprintln!("tamiz: {}", tamiz_core::text::printable(&other.to_string())),
        }
        ExitCode::from(match self {
            CliError::Failed(_) | CliError::Findings => 1,
            CliError::Usage(_) | CliError::Config(_) => 2,
            CliError::Unavailable(_) => 3,
            CliError::Interrupted => 130,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_is_said_with_its_causes_in_one_line() {
        let error = CliError::failed(&Outer(std::io::Error::other("no disk")));
        assert_eq!(error.to_string(), "cannot open: no disk");
    }
}
