//! Why a task waits, and what of the queue is held back.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::TaskStatus;
use tamiz_core::quota::ReachedLimit;
use tamiz_store::pause::Pause;
use tamiz_store::task::Task;

use super::usage::QuotaRefusal;

/// Why a task waits.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitReason {
    /// For its time, or for the pause before its next try to be over.
    Time,
    /// The queue is paused: by the tenant or by the operator, for its scan type or for all.
    Pause,
    /// The tenant is at one of its limits on running or starting tasks.
    Limit,
    /// For its turn, and for a worker that has room and what it needs.
    Turn,
}

/// Why a task waits.
#[derive(SimpleObject, Debug)]
pub(crate) struct TaskWait {
    /// What comes first of what it waits for.
    reason: WaitReason,
    /// For people.
    message: String,
    /// Until when at least; null when nobody knows.
    until: Option<DateTime<Utc>>,
    /// The limit that is reached, when it is for one.
    limit: Option<QuotaRefusal>,
}

impl TaskWait {
    /// `None` when it does not wait. `now` decides only whether its time has come.
    pub(super) fn of(task: &Task, pauses: &[Pause], now: DateTime<Utc>) -> Option<Self> {
        if !matches!(task.status, TaskStatus::Queued | TaskStatus::Retrying) {
            return None;
        }
        let run_at = task.run_at.filter(|run_at| *run_at > now);
        if let Some(pause) = pauses.iter().find(|pause| pause.holds(&task.scan_type)) {
            return Some(Self {
                reason: WaitReason::Pause,
                message: words(pause),
                until: run_at,
                limit: None,
            });
        }
        if let Some(run_at) = run_at {
            let message = if task.status == TaskStatus::Retrying {
                "waiting for its next try"
            } else {
                "waiting for its time"
            };
            return Some(Self {
                reason: WaitReason::Time,
                message: message.to_owned(),
                until: Some(run_at),
                limit: None,
            });
        }
        let tools = &task.payload.tools;
        let message = if tools.is_empty() {
            "waiting for its turn and a worker".to_owned()
        } else {
            format!("waiting for its turn and a worker with {}", tools.join(" or "))
        };
        Some(Self {
            reason: WaitReason::Turn,
            message,
            until: None,
            limit: None,
        })
    }

    /// Whether only its turn is missing: then a limit of the tenant may be why it does not come.
    pub(super) fn is_for_its_turn(&self) -> bool {
        self.reason == WaitReason::Turn
    }

    /// The same with the limit that holds it back.
    pub(super) fn for_limit(limit: ReachedLimit) -> Self {
        let ReachedLimit {
            name, value, used, ..
        } = &limit;
        Self {
            reason: WaitReason::Limit,
            message: format!("your tenant's limit {name} is {value}; {used} are used"),
            until: limit.room_at,
            limit: Some(limit.into()),
        }
    }
}

fn words(pause: &Pause) -> String {
    let what = pause.scan_type.as_deref().unwrap_or("the whole queue");
    let who = if pause.by_operator {
        "the operator"
    } else {
        "your tenant"
    };
    let mut words = format!("{who} paused {what}");
    if !pause.reason.is_empty() {
        words.push_str(": ");
        words.push_str(&pause.reason);
    }
    words
}

/// Something that is held back; what runs goes on.
#[derive(SimpleObject, Debug)]
pub(crate) struct QueuePause {
    /// Of which scan type; of all if null.
    scan_type: Option<String>,
    /// The operator paused it for everybody.
    for_everybody: bool,
    /// The operator paused it, for everybody or for your tenant; you cannot take it back.
    by_operator: bool,
    /// For people.
    reason: String,
    /// The name of the token that paused it; null when it was the operator.
    paused_by: Option<String>,
    /// Since when.
    since: DateTime<Utc>,
}

impl From<&Pause> for QueuePause {
    fn from(pause: &Pause) -> Self {
        Self {
            scan_type: pause.scan_type.clone(),
            for_everybody: pause.tenant.is_none(),
            by_operator: pause.by_operator,
            reason: pause.reason.clone(),
            paused_by: (!pause.by_operator).then(|| pause.by.clone()),
            since: pause.since,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tamiz_core::progress::Phase;
    use tamiz_core::{ProjectId, ScanType, TaskId, UploadId};
    use tamiz_store::task::Payload;

    use super::*;

    fn task(status: TaskStatus, run_at: Option<DateTime<Utc>>) -> Task {
        Task {
            id: TaskId::fresh(),
            project_id: ProjectId::fresh(),
            scan_type: ScanType::parse("web").unwrap(),
            status,
            phase: Phase::Queued,
            payload: Payload {
                tools: vec!["nikto".to_owned()],
                ..Payload::of_report(UploadId::fresh())
            },
            retries: 0,
            attempt: 0,
            priority: 0,
            event_seq: 1,
            error_code: None,
            error_message: None,
            plugin_fault: None,
            cancel_requested_at: None,
            created_at: DateTime::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
            run_at,
            timeout: None,
            group: None,
            schedule: None,
        }
    }

    #[test]
    fn a_limit_that_holds_a_task_back_is_told_with_what_is_used() {
        let until = Some(DateTime::UNIX_EPOCH);
        let wait = TaskWait::for_limit(ReachedLimit {
            name: "tasks-per-hour".to_owned(),
            value: 2,
            used: 3,
            room_at: until,
        });
        assert_eq!((wait.reason, wait.until), (WaitReason::Limit, until));
        assert_eq!(
            wait.message,
            "your tenant's limit tasks-per-hour is 2; 3 are used"
        );
        assert!(wait.limit.is_some());
    }

    #[test]
    fn a_task_says_what_it_waits_for_first() {
        let now = DateTime::UNIX_EPOCH;
        let later = Some(now + TimeDelta::hours(1));
        let pause = |scan_type: Option<&str>| Pause {
            tenant: None,
            tenant_name: None,
            scan_type: scan_type.map(str::to_owned),
            reason: "an upgrade".to_owned(),
            by: "op".to_owned(),
            by_operator: true,
            since: now,
        };
        let why = |status, run_at, pauses: &[Pause]| {
            TaskWait::of(&task(status, run_at), pauses, now).map(|wait| (wait.reason, wait.message))
        };
        assert_eq!(why(TaskStatus::Running, None, &[pause(None)]), None);
        let (reason, words) = why(TaskStatus::Queued, None, &[pause(Some("ssl"))]).unwrap();
        assert_eq!((reason, words.ends_with("with nikto")), (WaitReason::Turn, true));
        assert_eq!(why(TaskStatus::Retrying, later, &[]).unwrap().0, WaitReason::Time);
        let (reason, words) = why(TaskStatus::Queued, later, &[pause(Some("web"))]).unwrap();
        assert_eq!(
            (reason, words.as_str()),
            (WaitReason::Pause, "the operator paused web: an upgrade")
        );
    }
}
