//! What the holder of a lease asks about its task.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tamiz_core::TaskStatus;
use tamiz_core::limits::MESSAGE_BYTES_MAX;
use tamiz_core::text::{cut, printable};
use tamiz_store::attempt::Begin;
use tamiz_store::credential::LeaseRight;
use tamiz_store::event::NewEvent;
use tamiz_store::task::Task;
use tamiz_store::worker_log::{LINES_AT_ONCE_MAX, LineLevel, NewLine, Written};

use super::body::Asked;
use super::door::Holder;
use super::turns::detached;
use super::{Workers, stale, unavailable};
use crate::api::refused::Refused;
use crate::flow::{serve_attempt, serve_worker};
use crate::wire::{Begun, Log, LogLine, Logged, Ours, Plugins, Report, SecretKey, Whither};

pub(super) async fn begin(
    State(workers): State<Workers>,
    Holder(right): Holder,
) -> Result<Json<Begun>, Refused> {
    let attempts_max = i32::try_from(workers.settings().queue.attempts_max).unwrap_or(i32::MAX);
    let store = workers.state.store.clone();
    let beginning = async move {
        let begun = serve_attempt::begin(&store, &right, attempts_max).await;
        begun.map_err(unavailable)
    };
    Ok(Json(match detached(beginning).await? {
        Begin::Run(mut task) => {
            // the worker's own configuration may say another
            let of_type = workers.settings().queue.task_timeouts.of(&task.scan_type);
            task.timeout.get_or_insert(of_type);
            Begun::Run(task)
        }
        Begin::Cancelled => Begun::Cancelled,
        Begin::Dead => Begun::Dead,
        Begin::Stale => Begun::Stale,
    }))
}

pub(super) async fn report(
    State(workers): State<Workers>,
    Holder(right): Holder,
    Asked(asked): Asked<Report>,
) -> Result<Json<Ours>, Refused> {
    let telling = async move {
        let message = printable(cut(&asked.message, MESSAGE_BYTES_MAX));
        let event = NewEvent {
            status: TaskStatus::Running,
            phase: asked.phase,
            message: &message,
            done: asked.done,
            total: asked.total,
        };
        let ours = serve_attempt::report(&workers.state.store, &right, &event).await;
        ours.map_err(unavailable)
    };
    if detached(telling).await? {
        Ok(Json(Ours { ours: true }))
    } else {
        Err(stale())
    }
}

pub(super) async fn log(
    State(workers): State<Workers>,
    Holder(right): Holder,
    Asked(asked): Asked<Log>,
) -> Result<Json<Logged>, Refused> {
    if asked.lines.len() > LINES_AT_ONCE_MAX {
        return Err(Refused::bad_request(format!(
            "at most {LINES_AT_ONCE_MAX} lines are taken at once"
        )));
    }
    let lines: Vec<_> = asked.lines.into_iter().map(line).collect::<Result<_, _>>()?;
    let writing = async move {
        let written = serve_attempt::log(&workers.state.store, &right, &lines).await;
        written.map_err(unavailable)
    };
    match detached(writing).await? {
        Written::All => Ok(Json(Logged { is_full: false })),
        Written::Full => Ok(Json(Logged { is_full: true })),
        Written::Late => Err(stale()),
    }
}

fn line(line: LogLine) -> Result<NewLine, Refused> {
    let level = LineLevel::parse(&line.level);
    Ok(NewLine {
        level: level.ok_or_else(|| Refused::bad_request(format!("there is no level {}", line.level)))?,
        message: line.message,
        age: Duration::from_millis(line.age),
    })
}

/// The task, if the attempt still runs.
pub(super) async fn running(workers: &Workers, right: &LeaseRight) -> Result<Task, Refused> {
    let task = serve_worker::running_task(&workers.state.store, right).await;
    task.map_err(unavailable)?.ok_or_else(stale)
}

pub(super) async fn plugins(
    State(workers): State<Workers>,
    Holder(right): Holder,
) -> Result<Json<Plugins>, Refused> {
    let task = running(&workers, &right).await?;
    let serving = serve_attempt::plugins(&workers.state.store, &right, &task).await;
    let serving = serving.map_err(unavailable)?;
    Ok(Json(Plugins {
        plan: serving.plan,
        plugins: serving.plugins,
    }))
}

/// The pins are judged here as well: the worker's own configuration can only allow less.
pub(super) async fn target(
    State(workers): State<Workers>,
    Holder(right): Holder,
) -> Result<Json<Whither>, Refused> {
    running(&workers, &right).await?;
    let found = serve_attempt::target(&workers.state.store, &right).await;
    let target = found.map_err(unavailable)?;
    if let Some((pinned, tenant)) = &target {
        crate::target::recheck(pinned, tenant, &workers.state.targets)
            .map_err(|refusal| Refused::from_refusal(StatusCode::UNPROCESSABLE_ENTITY, refusal))?;
    }
    Ok(Json(Whither { target }))
}

pub(super) async fn secret_key(
    State(workers): State<Workers>,
    Holder(right): Holder,
) -> Result<Json<SecretKey>, Refused> {
    running(&workers, &right).await?;
    let key = serve_attempt::secret_key(&workers.state.store, &right).await;
    Ok(Json(SecretKey {
        key: hex::encode(key.map_err(unavailable)?),
    }))
}
