//! How an attempt can fail, and what that means for its task.

use std::time::Duration;

use tamiz_core::retry::Backoff;
use tamiz_core::{PluginFault, Refusal, RefusalCode, TaskStatus};
use tamiz_host::ConvertFailure;
use tamiz_store::attempt::Ending;

use super::desk::DeskError;
use super::stop::StopReason;
use crate::plugins::fault::fault;

/// Why an attempt has no full result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The input, the tool or the plugin: the same would happen again.
    #[error("{0}")]
    Refused(Refusal),
    /// The plugin crashed, overstepped a limit or cannot be had: the same would happen again.
    #[error("{refusal}")]
    Plugin {
        /// For the client.
        refusal: Refusal,
        /// For programs.
        fault: Box<PluginFault>,
    },
    /// The tool's time was used up.
    #[error("{0}")]
    TimedOut(Refusal),
    /// Something that may pass.
    #[error("{doing} failed")]
    MayPass {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Other work has all of this process's plugin slots: nobody's fault, and no attempt is used up.
    #[error("all plugin slots are in use")]
    Busy,
    /// Other conversions have all places that a plugin or its tenant may have here, as these words say:
    /// nobody's fault either.
    #[error("{0}")]
    NoPlace(String),
    /// The stop button was pressed.
    #[error("stopped")]
    Stopped,
}

/// Before a task that found no plugin slot is tried again: a conversion takes seconds.
const BUSY_PAUSE: Duration = Duration::from_secs(5);
/// Before a report whose plugin has no place for it is tried again: others' conversions have to end, and each
/// try is an event that its readers see.
const NO_PLACE_PAUSE: Duration = Duration::from_secs(15);

impl Failure {
    pub(crate) fn may_pass(
        doing: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::MayPass {
            doing,
            source: source.into(),
        }
    }

    pub(crate) fn refused(code: RefusalCode, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }

    /// The same, but a place that was waited for in vain uses up an attempt: trying again runs the tools
    /// again.
    pub(crate) fn after_tools(self) -> Self {
        let words = match self {
            Self::Busy => "all plugin slots are in use".to_owned(),
            Self::NoPlace(words) => words,
            other => return other,
        };
        Self::may_pass(
            "waiting for a place",
            Refusal::new(RefusalCode::PluginFailed, words),
        )
    }

    /// The same, and a refusal says which of the client's files it is about, if it does not yet.
    pub(crate) fn about(self, file_name: &str) -> Self {
        let named = |refusal: Refusal| {
            if refusal.message.contains(&format!("`{file_name}`")) {
                return refusal;
            }
            Refusal {
                message: format!("{file_name:?}: {}", refusal.message),
                ..refusal
            }
        };
        match self {
            Self::Refused(refusal) => Self::Refused(named(refusal)),
            Self::Plugin { refusal, fault } => Self::Plugin {
                refusal: named(refusal),
                fault,
            },
            other => other,
        }
    }
}

impl From<DeskError> for Failure {
    fn from(error: DeskError) -> Self {
        if let Some(refusal) = error.refusal() {
            return Self::Refused(refusal);
        }
        let doing = match &error {
            DeskError::Blob(_) => "reading or keeping bytes",
            DeskError::Store(_) | DeskError::Flow(_) => "asking the database",
            DeskError::Remote(_) | DeskError::Late => "asking the server",
        };
        Self::may_pass(doing, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::may_pass("using the scratch folder", error)
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::may_pass("running a blocking step", error)
    }
}

impl From<ConvertFailure> for Failure {
    fn from(failure: ConvertFailure) -> Self {
        let message = failure.to_string();
        match failure {
            ConvertFailure::Cancelled => Self::Stopped,
            ConvertFailure::HostBusy => Self::Busy,
            ConvertFailure::Unrecognized { .. } => Self::refused(RefusalCode::ReportUnrecognized, message),
            ConvertFailure::BadOptions { .. } => Self::refused(RefusalCode::BadOptions, message),
            ConvertFailure::Corrupt { .. } => Self::refused(RefusalCode::ReportCorrupt, message),
            failure if failure.is_the_hosts() => Self::may_pass("converting", failure),
            failure => Self::Plugin {
                refusal: Refusal::new(RefusalCode::PluginFailed, message),
                fault: Box::new(fault(&failure)),
            },
        }
    }
}

/// What becomes of a task whose attempt failed. `retries` counts the failures before this one.
/// `None` when nothing may be written any more.
pub(crate) fn ending(
    failure: &Failure,
    reason: Option<StopReason>,
    retries: i32,
    backoff: &Backoff,
    draw: f64,
) -> Option<Ending> {
    match reason {
        Some(StopReason::LeaseLost) => return None,
        Some(StopReason::Cancelled) => return Some(Ending::cancelled("cancelled")),
        Some(StopReason::Shutdown) => {
            return Some(Ending {
                counts: false,
                ..retry_after(
                    Duration::ZERO,
                    "the worker was shut down; another one takes over".to_owned(),
                )
            });
        }
        Some(StopReason::TimedOut(limit)) => {
            let message = format!("the attempt was not done after {} seconds", limit.as_secs());
            let refusal = Refusal::new(RefusalCode::TaskTimeout, message);
            return Some(bad(TaskStatus::Timeout, refusal));
        }
        None => {}
    }
    Some(match failure {
        Failure::Refused(refusal) => bad(TaskStatus::Failed, refusal.clone()),
        Failure::Plugin { refusal, fault } => Ending {
            plugin_fault: Some(PluginFault::clone(fault)),
            ..bad(TaskStatus::Failed, refusal.clone())
        },
        Failure::TimedOut(refusal) => bad(TaskStatus::Timeout, refusal.clone()),
        Failure::Busy => Ending {
            counts: false,
            ..retry_after(
                BUSY_PAUSE,
                "the worker has too much to do; trying again".to_owned(),
            )
        },
        Failure::NoPlace(words) => Ending {
            counts: false,
            ..retry_after(NO_PLACE_PAUSE, format!("{words}; trying again"))
        },
        Failure::Stopped => retry_after(Duration::ZERO, "stopped for no reason that is known".to_owned()),
        Failure::MayPass { doing, source } => {
            // any other source's words are not for clients
            let told = source.downcast_ref::<Refusal>().cloned();
            let told = told.unwrap_or_else(|| Refusal::new(RefusalCode::Internal, format!("{doing} failed")));
            after_trouble(told, retries, backoff, draw)
        }
    })
}

fn after_trouble(told: Refusal, retries: i32, backoff: &Backoff, draw: f64) -> Ending {
    let what = &told.message;
    if let Some(pause) = backoff.pause(retries + 1, draw) {
        let seconds = pause.as_secs_f64();
        let message = format!("{what}; trying again in {seconds:.1} seconds");
        return Ending {
            refusal: Some(told),
            ..retry_after(pause, message)
        };
    }
    let attempts = backoff.attempts_max;
    let message =
        format!("{what}; the limit of {attempts} attempts is reached, the operator's log has the cause");
    bad(
        TaskStatus::DeadLetter,
        Refusal::new(RefusalCode::AttemptsExhausted, message),
    )
}

pub(super) fn bad(status: TaskStatus, refusal: Refusal) -> Ending {
    let message = refusal.message.clone();
    Ending {
        status,
        refusal: Some(refusal),
        plugin_fault: None,
        message,
        done: None,
        pause: None,
        counts: true,
    }
}

fn retry_after(pause: Duration, message: String) -> Ending {
    Ending {
        status: TaskStatus::Retrying,
        refusal: Some(Refusal::new(RefusalCode::Internal, message.clone())),
        plugin_fault: None,
        message,
        done: None,
        pause: Some(pause),
        counts: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(2),
        max: Duration::from_mins(1),
        attempts_max: 3,
    };

    fn end(failure: &Failure, reason: Option<StopReason>, retries: i32) -> Option<Ending> {
        ending(failure, reason, retries, &BACKOFF, 1.0)
    }

    #[test]
    fn trouble_that_may_pass_is_retried_up_to_the_cap() {
        let trouble = Failure::may_pass("asking the database", "gone");
        let first = end(&trouble, None, 0).unwrap();
        assert_eq!(
            (first.status, first.pause.unwrap().as_secs()),
            (TaskStatus::Retrying, 2)
        );
        assert_eq!(end(&trouble, None, 1).unwrap().pause.unwrap().as_secs(), 4);
        assert_eq!(end(&trouble, None, 2).unwrap().status, TaskStatus::DeadLetter);
    }

    #[test]
    fn only_words_for_clients_are_told_when_the_attempts_are_used_up() {
        let crash = Refusal::new(RefusalCode::ToolFailed, "semgrep was killed by signal 11");
        for (trouble, words) in [
            (
                Failure::may_pass("asking the database", "secret"),
                "asking the database failed; ",
            ),
            (
                Failure::may_pass("running a tool", crash),
                "semgrep was killed by signal 11; ",
            ),
        ] {
            let message = end(&trouble, None, 2).unwrap().message;
            assert!(
                message.starts_with(words) && message.contains("limit of 3 attempts"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_refusal_names_its_file_once() {
        for (words, told) in [("no", "\"a.json\": no"), ("`a.json` is bad", "`a.json` is bad")] {
            let refused = Failure::refused(RefusalCode::ReportCorrupt, words).about("a.json");
            assert_eq!(refused.to_string(), told);
        }
    }

    #[test]
    fn a_plugin_that_fails_its_task_is_told_with_its_reason() {
        let crash: Failure = ConvertFailure::StackOverflow.into();
        let end = end(&crash.about("a.json"), None, 0).unwrap();
        assert_eq!(
            (end.status, end.refusal.unwrap().code),
            (TaskStatus::Failed, "PLUGIN_FAILED".into())
        );
        assert!(end.message.starts_with("\"a.json\": "), "{}", end.message);
        assert_eq!(end.plugin_fault.unwrap().reason, "plugin-stack-overflow");
    }

    #[test]
    fn a_worker_with_too_much_to_do_costs_no_attempt() {
        let busy = end(&ConvertFailure::HostBusy.into(), None, 2).unwrap();
        assert_eq!((busy.status, busy.counts), (TaskStatus::Retrying, false));
        assert_eq!(busy.pause.unwrap().as_secs(), 5);
        let put_off = end(&Failure::NoPlace("no place".to_owned()), None, 2).unwrap();
        assert_eq!((put_off.status, put_off.counts), (TaskStatus::Retrying, false));
    }

    #[test]
    fn waiting_in_vain_after_a_tool_ran_costs_an_attempt() {
        for failure in [Failure::Busy, Failure::NoPlace("no place".to_owned())] {
            let end = end(&failure.after_tools(), None, 0).unwrap();
            assert_eq!((end.status, end.counts), (TaskStatus::Retrying, true));
        }
    }

    #[test]
    fn bad_input_fails_at_once() {
        let bad = Failure::refused(RefusalCode::ReportCorrupt, "no");
        assert_eq!(end(&bad, None, 0).unwrap().status, TaskStatus::Failed);
    }

    #[test]
    fn a_stop_outweighs_what_it_broke() {
        let trouble = Failure::Stopped;
        assert!(end(&trouble, Some(StopReason::LeaseLost), 0).is_none());
        assert_eq!(
            end(&trouble, Some(StopReason::Cancelled), 0).unwrap().status,
            TaskStatus::Cancelled
        );
        let late = end(&trouble, Some(StopReason::TimedOut(Duration::from_secs(9))), 0).unwrap();
        assert_eq!(
            (late.status, late.refusal.unwrap().code),
            (TaskStatus::Timeout, "TASK_TIMEOUT".into())
        );
        assert!(late.message.contains("9 seconds"), "{}", late.message);
        let down = end(&trouble, Some(StopReason::Shutdown), 2).unwrap();
        assert_eq!((down.status, down.counts), (TaskStatus::Retrying, false));
    }
}
