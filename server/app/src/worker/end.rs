//! How an attempt ends: written once, counted once, said in the task's log.
//!
//! Not here: what a failure means for its task (`failure`).

use std::time::Duration;

use tamiz_core::{Refusal, TaskStatus};
use tamiz_store::attempt::Ending;
use tamiz_store::task::Task;
use tamiz_store::worker_log::LineLevel;
use tokio::time::timeout;

use super::attempt::{AttemptName, CAPTURE_KIND, Shop, patiently};
use super::desk::{DeskError, TaskDesk};
use super::failure::{self, Failure};
use super::logbook::Logbook;
use super::stop::Stop;
use crate::flow::finish_attempt::AttemptYield;

/// An attempt's time is over when its work is; what it brought is handed in within this. Half a million findings
/// take a few minutes, a slow line some more.
const HAND_IN_MAX: Duration = Duration::from_mins(30);

/// Writes the end, whatever it is, unless the attempt lost its right to.
pub(super) async fn end(
    shared: &Shop,
    desk: &TaskDesk,
    of: &AttemptName,
    task: &Task,
    kept: AttemptYield,
    stop: &Stop,
    outcome: Result<(), Failure>,
) -> Option<(Ending, Option<TaskStatus>)> {
    let ending = match &outcome {
        Ok(()) => completed(&kept),
        Err(failure) => {
            tracing::info!(task = %of.task, attempt = of.attempt, error = failure as &dyn std::error::Error,
                stop = ?stop.reason(), "the attempt failed");
            failure::ending(
                failure,
                stop.reason(),
                task.retries,
                &shared.backoff,
                rand::random(),
            )?
        }
    };
    // a stopped attempt's findings are nobody's: the next one brings its own
    let mut kept = kept;
    if !keeps_results(ending.status) {
        kept.results = None;
        if kept.executions.is_empty() {
            // an upload's own bytes, which the next try keeps again
            kept.artifacts
                .retain(|artifact| artifact.kind != "report" && artifact.kind != CAPTURE_KIND);
        }
    }
    let handed_in = timeout(HAND_IN_MAX, hand_in(desk, of, &kept, ending)).await;
    let Ok((written, ending)) = handed_in else {
        let seconds = HAND_IN_MAX.as_secs();
        tracing::error!(task = %of.task, seconds, "an attempt's end was given up; its lease runs out");
        return None;
    };
    match written {
        Ok(Some(status)) => {
            metrics::counter!("tamiz_attempts_total", "status" => status.as_str()).increment(1);
            Some((ending, Some(status)))
        }
        Ok(None) => {
            tracing::info!(task = %of.task, attempt = of.attempt, "too late: the task is over, or another attempt has it");
            Some((ending, None))
        }
        Err(error) => {
            tracing::error!(task = %of.task, error = &error as &dyn std::error::Error,
                "an attempt could not be ended; its lease runs out and another worker takes over");
            None
        }
    }
}

/// Hands in all, or, when that is refused and will be again, that it was: the next attempt would bring the same.
async fn hand_in(
    desk: &TaskDesk,
    of: &AttemptName,
    kept: &AttemptYield,
    ending: Ending,
) -> (Result<Option<TaskStatus>, DeskError>, Ending) {
    let written = patiently(|| desk.finish(of.project, kept, &ending)).await;
    let Some(refusal) = written.as_ref().err().and_then(DeskError::refused_hand_in) else {
        return (written, ending);
    };
    tracing::error!(task = %of.task, %refusal, "what an attempt brought was refused; it fails without it");
    let (nothing, ending) = (AttemptYield::default(), without_yield(ending, refusal));
    let written = patiently(|| desk.finish(of.project, &nothing, &ending)).await;
    (written, ending)
}

/// How an attempt ends whose yield was refused. What nobody wants any more is cancelled all the same.
fn without_yield(ending: Ending, refusal: Refusal) -> Ending {
    if ending.status == TaskStatus::Cancelled {
        return ending;
    }
    let message = format!("what the attempt brought was refused: {}", refusal.message);
    failure::bad(TaskStatus::Failed, Refusal { message, ..refusal })
}

/// Counts what was written, and says in the task's log how it ended.
pub(super) fn note_end(shared: &Shop, log: Logbook, ended: Option<(Ending, Option<TaskStatus>)>) {
    let Some((ending, Some(status))) = ended else {
        // the lines of a late attempt are not taken either
        return;
    };
    shared.life.ended(status, ending.counts);
    let level = match status {
        TaskStatus::Failed | TaskStatus::Timeout | TaskStatus::DeadLetter => LineLevel::Error,
        TaskStatus::Retrying | TaskStatus::Cancelled => LineLevel::Warn,
        _ => LineLevel::Info,
    };
    let code = ending.refusal.map(|refusal| format!(" ({})", refusal.code));
    let message = format!(
        "{}{}: {}",
        status.as_str(),
        code.unwrap_or_default(),
        ending.message
    );
    log.say(level, &message);
}

const fn keeps_results(status: TaskStatus) -> bool {
    matches!(
        status,
        TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Timeout | TaskStatus::DeadLetter
    )
}

fn completed(kept: &AttemptYield) -> Ending {
    let findings = kept
        .results
        .as_ref()
        .map_or(0, |results| results.summary.findings);
    Ending {
        status: TaskStatus::Completed,
        refusal: None,
        plugin_fault: None,
        message: format!("done, {findings} findings"),
        done: Some(i64::from(findings)),
        pause: None,
        counts: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamiz_core::RefusalCode;

    #[test]
    fn a_refused_yield_fails_its_task_with_the_reason() {
        let refusal = Refusal::new(RefusalCode::InvalidInput, "too many runs of tools");
        let ending = without_yield(completed(&AttemptYield::default()), refusal.clone());
        assert_eq!(ending.status, TaskStatus::Failed);
        let told = ending.refusal.unwrap();
        assert_eq!(told.code, "INVALID_INPUT");
        assert!(told.message.ends_with(": too many runs of tools"), "{told:?}");
        let cancelled = without_yield(Ending::cancelled("cancelled"), refusal);
        assert_eq!(cancelled.status, TaskStatus::Cancelled);
    }
}
