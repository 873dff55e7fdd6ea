//! The register of workers: who lives, what they can do.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tamiz_core::WorkerId;

use crate::connect::Store;
use crate::error::StoreError;

/// Live workers that are read at once: more than one database can serve.
pub const WORKERS_SHOWN_MAX: i64 = 1_000;

/// A worker that wants to be known.
#[derive(Debug, Clone)]
pub struct NewWorker<'a> {
    /// Its id, fresh with every start.
    pub id: WorkerId,
    /// The machine's name.
    pub host: &'a str,
    /// The process there.
    pub process_id: u32,
    /// Of Tamiz.
    pub version: &'a str,
    /// How many tasks at once.
    pub slots: u32,
    /// Scan types, tools and their versions.
    pub capabilities: &'a Value,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Waits for tickets.
    Idle,
    /// Works.
    Busy,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Gone.
    Offline,
}

impl WorkerState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Offline => "offline",
        }
    }
}

/// A registered worker.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    /// Its id.
    pub id: WorkerId,
    /// Where it runs.
    pub host: String,
    /// What it last said it does.
    pub state: String,
    /// What it can do.
    pub capabilities: Value,
    /// When it last said so.
    pub heartbeat_at: DateTime<Utc>,
}

impl Store {
    /// Enters a worker into the register.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn register_worker(&self, new: &NewWorker<'_>) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            insert into control.worker (id, host, process_id, version, slots, capabilities, state)
            values ($1, $2, $3, $4, $5, $6, 'idle')
            "#,
            new.id.uuid(),
            new.host,
            new.process_id.cast_signed(),
            new.version,
            new.slots.cast_signed(),
            new.capabilities
        )
        .execute(&self.dispatch)
        .await?;
        Ok(())
    }

    /// A sign of life.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn worker_heartbeat(&self, id: WorkerId, state: WorkerState) -> Result<(), StoreError> {
        sqlx::query!(
            "update control.worker set heartbeat_at = now(), state = $2 where id = $1",
            id.uuid(),
            state.as_str()
        )
        .execute(&self.dispatch)
        .await?;
        Ok(())
    }

    /// Marks workers that were silent for `silence` as gone and forgets those gone for a week.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn bury_silent_workers(&self, silence: Duration) -> Result<u64, StoreError> {
        let gone = sqlx::query!(
            "update control.worker set state = 'offline'
             where state <> 'offline' and heartbeat_at < now() - make_interval(secs => $1)",
            silence.as_secs_f64()
        )
        .execute(&self.dispatch)
        .await?;
        sqlx::query!(
            "delete from control.worker where state = 'offline' and heartbeat_at < now() - interval '7 days'"
        )
        .execute(&self.dispatch)
        .await?;
        Ok(gone.rows_affected())
    }

    /// Workers that take tickets and were not silent for longer than `silence`, oldest first, at most
    /// [`WORKERS_SHOWN_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub async fn live_workers(&self, silence: Duration) -> Result<Vec<WorkerRow>, StoreError> {
        let rows = sqlx::query!(
            "select id, host, state, capabilities, heartbeat_at from control.worker
             where state in ('idle', 'busy') and heartbeat_at > now() - make_interval(secs => $1)
             order by id limit $2",
            silence.as_secs_f64(),
            WORKERS_SHOWN_MAX
        )
        .fetch_all(&self.dispatch)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| WorkerRow {
                id: row.id.into(),
                host: row.host,
                state: row.state,
                capabilities: row.capabilities,
                heartbeat_at: row.heartbeat_at,
            })
            .collect())
    }
}
