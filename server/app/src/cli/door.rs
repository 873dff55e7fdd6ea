//! `tamiz door`, hidden: the inner end of a door, started by the worker in a shell of its own.

use std::process::ExitCode;

use crate::tool;

/// The exit code of the command that the order in the current folder names.
pub(super) fn run() -> ExitCode {
    match tool::door() {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            // The worker looks for this word.
            eprintln!("door: {error}");
            ExitCode::FAILURE
        }
    }
}
