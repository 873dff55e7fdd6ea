//! Which of the host's refusals may pass: they are not kept, and whoever wants the plugin tries again as
//! often as its task has attempts.
//!
//! A refusal is kept for the life of the process, so only what the component itself caused may be one.

use rustix::process::Signal;
use tamiz_host::{CompileError, ConvertFailure, PluginError};

/// How Rust ends a program that panicked: the compiler does so for some component, and will again.
const PANIC_STATUS: i32 = 101;

/// The child's own limits end it by other signals. These come from a kernel that is short of memory, or
/// from whoever stops the service.
const FROM_OUTSIDE: [Signal; 4] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];

/// Whether the host may take the component when it is asked again.
pub(super) fn passes(error: &PluginError) -> bool {
    match error {
        PluginError::Read { .. } => true,
        PluginError::Compile(error) => compiling_passes(error),
        // describing takes a moment: one that runs into the time limit had no processor
        PluginError::Describe(failure) => {
            failure.is_the_hosts() || matches!(failure, ConvertFailure::Deadline { .. })
        }
        PluginError::WrongWorld { .. } | PluginError::Description { .. } => false,
    }
}

fn compiling_passes(error: &CompileError) -> bool {
    match error {
        CompileError::Io { .. } | CompileError::CacheFolder { .. } | CompileError::Timeout { .. } => true,
        CompileError::UsedUp { signal } => FROM_OUTSIDE.map(Signal::as_raw).contains(signal),
        // a refusal would have been written down: the system did not let the child do its work
        CompileError::Child { status, .. } => status.code() != Some(PANIC_STATUS),
        CompileError::Refused(_) | CompileError::Invalid { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn ended_by(signal: Signal) -> PluginError {
        PluginError::Compile(CompileError::UsedUp {
            signal: signal.as_raw(),
        })
    }

    fn exited_with(code: i32) -> PluginError {
        PluginError::Compile(CompileError::Child {
            // as `wait` tells it
            status: ExitStatus::from_raw(code << 8),
            message: String::new(),
        })
    }

    #[test]
    fn a_compiler_that_was_ended_from_outside_is_tried_again() {
        for signal in FROM_OUTSIDE {
            assert!(passes(&ended_by(signal)), "{signal:?}");
        }
    }

    #[test]
    fn a_component_that_uses_up_the_compilers_limits_is_refused_for_good() {
        for signal in [Signal::XCPU, Signal::ABORT, Signal::XFSZ, Signal::SEGV] {
            assert!(!passes(&ended_by(signal)), "{signal:?}");
        }
    }

    #[test]
    fn a_compiler_that_failed_without_a_verdict_is_tried_again_unless_it_panicked() {
        for (code, expected) in [(1, true), (3, true), (PANIC_STATUS, false)] {
            assert_eq!(passes(&exited_with(code)), expected, "{code}");
        }
        let invalid = CompileError::Invalid {
            message: "no component".to_owned(),
        };
        assert!(!passes(&PluginError::Compile(invalid)));
        let timeout = CompileError::Timeout { seconds: 1 };
        assert!(passes(&PluginError::Compile(timeout)));
    }

    #[test]
    fn a_description_that_took_too_long_is_asked_for_again_and_a_crash_is_not() {
        for (failure, expected) in [
            (ConvertFailure::Deadline { seconds: 5 }, true),
            (ConvertFailure::HostBusy, true),
            (ConvertFailure::StackOverflow, false),
            (ConvertFailure::OutOfMemory { limit_bytes: 1 }, false),
        ] {
            let text = failure.to_string();
            assert_eq!(passes(&PluginError::Describe(failure)), expected, "{text}");
        }
        let read = PluginError::Read {
            path: "p".into(),
            source: io::ErrorKind::Interrupted.into(),
        };
        assert!(passes(&read));
    }
}
