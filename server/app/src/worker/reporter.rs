//! Tells the watchers what an attempt is doing, without slowing it down.
//!
//! Every phase is told; counts within a phase are told a few times a second, the latest wins.

use std::time::Duration;

use tamiz_core::progress::Phase;
use tamiz_core::{TaskId, TaskStatus};
use tamiz_store::event::NewEvent;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::desk::TaskDesk;
use super::stop::{Stop, StopReason};

/// Counts are not told more often than this: a person cannot read faster, and each costs a commit.
const COUNT_PAUSE: Duration = Duration::from_millis(300);

/// Something to tell.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    phase: Phase,
    message: String,
    done: Option<i64>,
    total: Option<i64>,
    is_count: bool,
}

/// The attempt's voice. Never waits.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    notes: mpsc::UnboundedSender<Note>,
}

impl Reporter {
    /// Starts the writing side. It ends when the last clone of the reporter is dropped; wait for it
    /// before ending the attempt, so that the last event is the last.
    pub(crate) fn start(desk: TaskDesk, task: TaskId, stop: Stop) -> (Self, JoinHandle<()>) {
        let (notes, queue) = mpsc::unbounded_channel();
        (Self { notes }, tokio::spawn(write_all(desk, task, stop, queue)))
    }

    /// A new phase.
    pub(crate) fn phase(&self, phase: Phase, message: impl Into<String>) {
        self.tell(Note {
            phase,
            message: message.into(),
            done: None,
            total: None,
            is_count: false,
        });
    }

    /// How far the phase is.
    pub(crate) fn count(&self, phase: Phase, message: impl Into<String>, done: i64, total: Option<i64>) {
        self.tell(Note {
            phase,
            message: message.into(),
            done: Some(done),
            total,
            is_count: true,
        });
    }

    fn tell(&self, note: Note) {
        // the writing side outlives every clone
        let _ = self.notes.send(note);
    }
}

async fn write_all(desk: TaskDesk, task: TaskId, stop: Stop, mut queue: mpsc::UnboundedReceiver<Note>) {
    let mut counted_at: Option<Instant> = None;
    let mut waiting: Option<Note> = None;
    loop {
        let due = counted_at.map_or_else(Instant::now, |at| at + COUNT_PAUSE);
        let next = tokio::select! {
            biased;
            next = queue.recv() => next,
            () = tokio::time::sleep_until(due), if waiting.is_some() => {
                counted_at = Some(Instant::now());
                if let Some(note) = waiting.take() {
                    write(&desk, task, &stop, &note).await;
                }
                continue;
            }
        };
        match next {
            Some(note) if note.is_count => waiting = Some(note),
            Some(note) => {
                waiting = None;
                write(&desk, task, &stop, &note).await;
            }
            None => return,
        }
    }
}

async fn write(desk: &TaskDesk, task: TaskId, stop: &Stop, note: &Note) {
    let event = NewEvent {
        status: TaskStatus::Running,
        phase: note.phase,
        message: &note.message,
        done: note.done,
        total: note.total,
    };
    match desk.report(&event).await {
        Ok(true) => {}
        Ok(false) => stop.press(StopReason::LeaseLost),
        // progress is worth less than the work: the attempt goes on
        Err(error) => {
            tracing::warn!(%task, error = &error as &dyn std::error::Error, "progress was not told");
        }
    }
}
