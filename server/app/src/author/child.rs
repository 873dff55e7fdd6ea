//! A tool of a language as a child process: bounded in time, its output kept for when it fails.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running child is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Of a failed child's output, the last bytes: compilers say what is wrong at the end.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024;

/// Why a tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// The tool.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended with an error.
    #[error("{program} failed ({status})\n{output}")]
    Failed {
        /// The tool.
        program: String,
        /// How it ended.
        status: String,
        /// What it said, at the end.
        output: String,
    },
    /// It was ended by us.
    #[error("{program} did not finish within {seconds} seconds\n{output}")]
    Late {
        /// The tool.
        program: String,
        /// The limit.
        seconds: u64,
        /// What it said, at the end.
        output: String,
    },
}

/// Runs the command to its end and gives what it said.
///
/// # Errors
/// [`ChildError`].
pub(super) fn run(mut command: Command, limit: Duration) -> Result<String, ChildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = |source| ChildError::Start {
        program: program.clone(),
        source,
    };
    // A file, because a pipe that nobody empties stops the child.
    let mut output = tempfile::tempfile().map_err(start)?;
    command.stdin(Stdio::null());
    command.stdout(output.try_clone().map_err(start)?);
    command.stderr(output.try_clone().map_err(start)?);
    let mut child = command.spawn().map_err(start)?;
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait().map_err(start)? {
            Some(status) if status.success() => return Ok(end_of(&mut output)),
            Some(status) => {
                return Err(ChildError::Failed {
                    program,
                    status: status.to_string(),
                    output: end_of(&mut output),
                });
            }
            None if Instant::now() >= deadline => {
                // It may have ended just now; either way it is gone after the wait.
                let _ = child.kill();
                let _ = child.wait();
                return Err(ChildError::Late {
                    program,
                    seconds: limit.as_secs(),
                    output: end_of(&mut output),
                });
            }
            None => thread::sleep(LOOK_INTERVAL),
        }
    }
}

/// The last of what was written; as much as can be read of it.
fn end_of(output: &mut File) -> String {
    let length = output.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    if output
        .seek(SeekFrom::Start(length.saturating_sub(OUTPUT_BYTES_MAX)))
        .is_ok()
    {
        let _ = output.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_child_says_is_kept_and_shown_when_it_fails() {
        assert_eq!(run(shell("echo yes"), Duration::from_secs(30)).unwrap(), "yes");
        let error = run(shell("echo broken >&2; exit 3"), Duration::from_secs(30)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh failed") && text.contains("broken"), "{text}");
    }

    #[test]
    fn a_child_that_does_not_end_is_ended() {
        let error = run(shell("echo begun; exec sleep 60"), Duration::from_millis(300)).unwrap_err();
        assert!(
            matches!(&error, ChildError::Late { output, .. } if output == "begun"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(Command::new("tamiz-no-such-program"), Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("tamiz-no-such-program"), "{error}");
    }
}
