//! Wake-ups between processes: ids only, over Postgres NOTIFY.
//!
//! One sender per process coalesces what was announced while it was busy and notifies outside of
//! writing transactions, on the dispatcher's connection (NOTIFY inside them serialises commits). One
//! listener per process spreads what it hears. Signals are hints and may be lost: whoever waits for
//! one also looks by itself now and then, and re-reads through its own tenant scope.

use std::collections::HashSet;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tamiz_core::{TaskId, TenantId};
use tokio::sync::{broadcast, mpsc};

use crate::connect::Store;
use crate::error::StoreError;

const TICKETS: &str = "tamiz_ticket";
const TASKS: &str = "tamiz_task";
const CANCELS: &str = "tamiz_cancel";
/// Signals that a slow receiver may lag behind before it is told to re-read.
const BACKLOG: usize = 4_096;
/// Pause before listening again after the connection broke.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);
/// Distinct signals sent in one statement.
const BATCH_MAX: usize = 1_000;

/// What happened, without any of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// A ticket may be ready.
    Tickets,
    /// A task has new events.
    Task {
        /// Whose.
        tenant: TenantId,
        /// Which.
        task: TaskId,
    },
    /// Somebody wants a running task to stop.
    Cancel {
        /// Which.
        task: TaskId,
    },
    /// The line was cut for a while: anything may have happened.
    Gap,
}

/// The line of one process.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    sender: mpsc::UnboundedSender<Signal>,
    heard: broadcast::Sender<Signal>,
    tasks: std::sync::Arc<[tokio::task::AbortHandle; 2]>,
}

impl Signals {
    pub(crate) async fn start(pool: PgPool) -> Result<Self, StoreError> {
        let (sender, queue) = mpsc::unbounded_channel();
        let (heard, _) = broadcast::channel(BACKLOG);
        let listener = listen(&pool).await?;
        let tasks = [
            tokio::spawn(send_all(pool.clone(), queue)).abort_handle(),
            tokio::spawn(hear_all(pool, listener, heard.clone())).abort_handle(),
        ];
        Ok(Self {
            sender,
            heard,
            tasks: std::sync::Arc::new(tasks),
        })
    }

    /// Never waits; a process that is going down may drop it.
    pub(crate) fn send(&self, signal: Signal) {
        // the receiver lives as long as the process; its end means shutdown
        let _ = self.sender.send(signal);
    }

    pub(crate) fn stop(&self) {
        for task in self.tasks.iter() {
            task.abort();
        }
    }
}

impl Store {
    /// Everything heard from now on. A receiver that lags gets `RecvError::Lagged`: treat it as
    /// [`Signal::Gap`].
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.heard.subscribe()
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, StoreError> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen_all([TICKETS, TASKS, CANCELS]).await?;
    Ok(listener)
}

async fn send_all(pool: PgPool, mut queue: mpsc::UnboundedReceiver<Signal>) {
    while let Some(first) = queue.recv().await {
        let mut batch = HashSet::from([first]);
        while batch.len() < BATCH_MAX
            && let Ok(next) = queue.try_recv()
        {
            batch.insert(next);
        }
        let (channels, payloads): (Vec<String>, Vec<String>) = batch.iter().filter_map(encode).unzip();
        let sent = sqlx::query!(
            "select pg_notify(x.channel, x.payload) from unnest($1::text[], $2::text[]) x(channel, payload)",
            &channels,
            &payloads
        )
        .execute(&pool)
        .await;
        if let Err(error) = sent {
            // receivers poll as well, so a lost hint costs time, not data
            tracing::warn!(%error, "signals could not be sent");
        }
    }
}

async fn hear_all(pool: PgPool, mut listener: PgListener, heard: broadcast::Sender<Signal>) {
    loop {
        if let Ok(Some(notification)) = listener.try_recv().await {
            if let Some(signal) = decode(notification.channel(), notification.payload()) {
                // no receiver is fine
                let _ = heard.send(signal);
            }
        } else {
            listener = listen_again(&pool).await;
            let _ = heard.send(Signal::Gap);
        }
    }
}

async fn listen_again(pool: &PgPool) -> PgListener {
    loop {
        match listen(pool).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%error, "the signal line is down");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}

fn encode(signal: &Signal) -> Option<(String, String)> {
    match signal {
        Signal::Tickets => Some((TICKETS.to_owned(), String::new())),
        Signal::Task { tenant, task } => Some((TASKS.to_owned(), format!("{tenant}/{task}"))),
        Signal::Cancel { task } => Some((CANCELS.to_owned(), task.to_string())),
        Signal::Gap => None,
    }
}

fn decode(channel: &str, payload: &str) -> Option<Signal> {
    match channel {
        TICKETS => Some(Signal::Tickets),
        TASKS => {
            let (tenant, task) = payload.split_once('/')?;
            Some(Signal::Task {
                tenant: TenantId::from_str(tenant).ok()?,
                task: TaskId::from_str(task).ok()?,
            })
        }
        CANCELS => Some(Signal::Cancel {
            task: TaskId::from_str(payload).ok()?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_survives_the_line() {
        for signal in [
            Signal::Tickets,
            Signal::Task {
                tenant: TenantId::fresh(),
                task: TaskId::fresh(),
            },
            Signal::Cancel {
                task: TaskId::fresh(),
            },
        ] {
            let (channel, payload) = encode(&signal).unwrap();
            assert_eq!(decode(&channel, &payload), Some(signal));
        }
        assert_eq!(decode(TASKS, "nonsense"), None);
    }
}
