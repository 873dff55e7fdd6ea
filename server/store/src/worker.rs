//! The register of workers: who lives, what they can do, what they did, why they cannot work.
//!
//! A row is one start of a worker, by an id that is fresh with every start. Its name outlives it: a new start
//! goes on with the counts of the one before it and counts as one restart more. All times are by the
//! database's clock, so a worker whose clock is wrong is neither dead nor immortal.
//!
//! Workers without the database have the names of their token, apart from all others' (see
//! [`crate::worker_token`]).
//!
//! Counts are of attempts whose end was written, which the fence lets happen once. A worker tells them as
//! totals with its heartbeat: one that is killed loses what it ended since the last one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tamiz_core::{WorkerId, WorkerTokenId, text};
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::worker_token::{Entered, WORKERS_PER_TOKEN_MAX};

/// Workers that are read at once: more than one database can serve.
pub const WORKERS_SHOWN_MAX: i64 = 1_000;
/// Characters of a reason that are kept, as the table's check says.
const ERROR_BYTES_MAX: usize = 1_000;

/// A worker that wants to be known.
#[derive(Debug, Clone)]
pub struct NewWorker<'a> {
    /// Its id, fresh with every start.
    pub id: WorkerId,
    /// The same at every start.
    pub name: &'a str,
    /// The machine's name.
    pub host: &'a str,
    /// The process there.
    pub process_id: u32,
    /// Of Tamiz.
    pub version: &'a str,
    /// How many tasks at once.
    pub slots: u32,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Loads plugins and tries tools.
    Initializing,
    /// Waits for tickets.
    Idle,
    /// Works.
    Busy,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Lives and cannot work.
    Error,
    /// Gone.
    Offline,
}

impl WorkerState {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Initializing,
        Self::Idle,
        Self::Busy,
        Self::Draining,
        Self::Error,
        Self::Offline,
    ];

    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Error => "error",
            Self::Offline => "offline",
        }
    }

    /// The state of that name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A sign of life.
#[derive(Debug, Clone)]
pub struct Heartbeat<'a> {
    /// What it does.
    pub state: WorkerState,
    /// Tasks that it has room for.
    pub free_slots: u32,
    /// Attempts of this start that ended well.
    pub done: u64,
    /// Attempts of this start that ended badly; what was cancelled or only put back is neither.
    pub failed: u64,
    /// Why it cannot work, or could not lately.
    pub error: Option<&'a str>,
}

/// A registered worker.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    /// Of this start.
    pub id: WorkerId,
    /// The same at every start.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// The process there.
    pub process_id: i32,
    /// Of Tamiz.
    pub version: String,
    /// What it last said it does.
    pub state: WorkerState,
    /// How many tasks at once.
    pub slots: i32,
    /// And how many more it has room for.
    pub free_slots: i32,
    /// Attempts that ended well, by all starts of the name.
    pub tasks_done: i64,
    /// And badly.
    pub tasks_failed: i64,
    /// Starts of the name before this one.
    pub restarts: i32,
    /// Why it could not work, now or the last time.
    pub last_error: Option<String>,
    /// When it last could not.
    pub last_error_at: Option<DateTime<Utc>>,
    /// Scan types, tools and their versions, worlds.
    pub capabilities: Value,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it was last heard of.
    pub heartbeat_at: DateTime<Utc>,
}

impl Store {
    /// Enters a start of a worker with the database into the register, as [`WorkerState::Initializing`]; answers how often the
    /// name was started before. Entering the same start again changes nothing: an answer may have been lost.
    ///
    /// Served by `worker_name_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn register_worker(&self, new: &NewWorker<'_>) -> Result<u32, StoreError> {
        Ok(match self.enter_worker(new, None).await? {
            Entered::Now { restarts } => restarts,
            Entered::Foreign | Entered::Full => 0,
        })
    }

    /// Enters a start of a worker of `token`, or of one with the database: each has names of its own.
    pub(crate) async fn enter_worker(
        &self,
        new: &NewWorker<'_>,
        token: Option<WorkerTokenId>,
    ) -> Result<Entered, StoreError> {
        let token = token.map(WorkerTokenId::uuid);
        self.forget_gone(new.name, token).await?;
        let entered = sqlx::query!(
            r#"
            with before as (
                select tasks_done, tasks_failed, restarts + 1 as restarts from control.worker
                where name = $2 and id <> $1 and token_id is not distinct from $7
                order by started_at desc, id desc limit 1),
            entered as (
                insert into control.worker (id, name, host, process_id, version, slots, capabilities, state,
                    tasks_done, tasks_failed, done_before, failed_before, restarts, token_id)
                select $1, $2, $3, $4, $5, $6, '{}', 'initializing',
                    coalesce(b.tasks_done, 0), coalesce(b.tasks_failed, 0), coalesce(b.tasks_done, 0),
                    coalesce(b.tasks_failed, 0), coalesce(b.restarts, 0), $7::uuid
                from (select 1) one left join before b on true
                -- of workers with the database none is counted
                where (select count(*) from control.worker where token_id = $7 and state <> 'offline') < $8
                on conflict (id) do nothing returning restarts)
            select coalesce((select restarts from entered),
                            (select restarts from control.worker
                             where id = $1 and token_id is not distinct from $7)) as restarts,
                   exists (select from control.worker where id = $1) as "is_taken!"
            "#,
            new.id.uuid(),
            new.name,
            new.host,
            new.process_id.cast_signed(),
            new.version,
            new.slots.cast_signed(),
            token,
            WORKERS_PER_TOKEN_MAX
        )
        .fetch_one(&self.dispatch)
        .await?;
        Ok(match entered.restarts {
            Some(restarts) => Entered::Now {
                restarts: restarts.cast_unsigned(),
            },
            None if entered.is_taken => Entered::Foreign,
            None => Entered::Full,
        })
    }

    /// Starts of one name that were long gone say nothing that the newest does not; nor do many of a token.
    async fn forget_gone(&self, name: &str, token: Option<Uuid>) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from control.worker
             where token_id is not distinct from $2 and state = 'offline'
               and (name = $1 and heartbeat_at < now() - interval '1 hour'
                    and id <> (select id from control.worker where name = $1 and token_id is not distinct from $2
                               order by started_at desc, id desc limit 1)
                    or id in (select id from control.worker where token_id = $2 and state = 'offline'
                              order by heartbeat_at desc offset $3))",
            name,
            token,
            WORKERS_PER_TOKEN_MAX
        )
        .execute(&self.dispatch)
        .await?;
        Ok(())
    }

    /// The worker knows what it can do and waits for work from now on. `false` when the register does not
    /// have it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn worker_ready(&self, id: WorkerId, capabilities: &Value) -> Result<bool, StoreError> {
        let known = sqlx::query!(
            "update control.worker
             set heartbeat_at = now(), state = 'idle', free_slots = slots, capabilities = $2 where id = $1",
            id.uuid(),
            capabilities
        )
        .execute(&self.dispatch)
        .await?;
        Ok(known.rows_affected() == 1)
    }

    /// A sign of life. `false` when the register does not have the worker (any more).
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn worker_heartbeat(&self, id: WorkerId, beat: &Heartbeat<'_>) -> Result<bool, StoreError> {
        let known = sqlx::query!(
            r#"
            update control.worker set heartbeat_at = now(), state = $2, free_slots = least($3, slots),
                   tasks_done = greatest(tasks_done, done_before + $4),
                   tasks_failed = greatest(tasks_failed, failed_before + $5),
                   last_error = coalesce($6, last_error),
                   last_error_at = case when $6::text is null then last_error_at else now() end
            where id = $1
            "#,
            id.uuid(),
            beat.state.as_str(),
            i32::try_from(beat.free_slots).unwrap_or(i32::MAX),
            i64::try_from(beat.done).unwrap_or(i64::MAX),
            i64::try_from(beat.failed).unwrap_or(i64::MAX),
            beat.error.map(|error| text::cut(error, ERROR_BYTES_MAX))
        )
        .execute(&self.dispatch)
        .await?;
        Ok(known.rows_affected() == 1)
    }

    /// Marks workers that were silent for `silence` as gone, gives back what they held at once instead of
    /// when its lease runs out, and forgets those gone for a week. Answers how many are gone newly.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn bury_silent_workers(&self, silence: Duration) -> Result<u64, StoreError> {
        // Leases that stood when the worker fell silent run out now; whatever it still writes is fenced. The
        // row lock of the worker is not held while tickets are waited for: both are one statement, and it
        // skips tickets that somebody is changing, whose lease runs out by itself.
        let gone = sqlx::query_scalar!(
            r#"
            with gone as (
                update control.worker set state = 'offline', free_slots = 0,
                       last_error = 'nothing was heard of it for ' || round($1::float8)::text || ' seconds',
                       last_error_at = now()
                where id in (select id from control.worker
                             where state <> 'offline' and heartbeat_at < now() - make_interval(secs => $1)
                             for update skip locked)
                returning id),
            held as (
                select t.tenant_id, t.task_id from control.ticket t
                where t.state = 1 and t.worker_id in (select id from gone) for update skip locked),
            cut as (
                update control.ticket t set lease_until = clock_timestamp() from held
                where t.tenant_id = held.tenant_id and t.task_id = held.task_id)
            select count(*) as "gone!" from gone
            "#,
            silence.as_secs_f64()
        )
        .fetch_one(&self.dispatch)
        .await?;
        if gone > 0 {
            self.expire_leases().await?;
        }
        sqlx::query!(
            "delete from control.worker where state = 'offline' and heartbeat_at < now() - interval '7 days'"
        )
        .execute(&self.dispatch)
        .await?;
        Ok(gone.cast_unsigned())
    }

    /// The register, by name: all that are not gone, and of the names that nobody bears now the last start.
    /// At most [`WORKERS_SHOWN_MAX`].
    ///
    /// Served by `worker_name_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let rows = sqlx::query!(
            r#"
            select w.id, w.name, w.host, w.process_id, w.version, w.state, w.slots, w.free_slots, w.tasks_done,
                   w.tasks_failed, w.restarts, w.last_error, w.last_error_at, w.capabilities, w.started_at,
                   w.heartbeat_at
            from control.worker w
            where w.state <> 'offline'
               or not exists (select from control.worker o where o.name = w.name and o.id <> w.id
                              and o.token_id is not distinct from w.token_id
                              and (o.state <> 'offline' or (o.started_at, o.id) > (w.started_at, w.id)))
            order by w.name, w.started_at, w.id limit $1
            "#,
            WORKERS_SHOWN_MAX
        )
        .fetch_all(&self.dispatch)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(WorkerRow {
                    id: row.id.into(),
                    name: row.name,
                    host: row.host,
                    process_id: row.process_id,
                    version: row.version,
                    state: WorkerState::parse(&row.state)
                        .ok_or_else(|| StoreError::unreadable("worker state", &row.state))?,
                    slots: row.slots,
                    free_slots: row.free_slots,
                    tasks_done: row.tasks_done,
                    tasks_failed: row.tasks_failed,
                    restarts: row.restarts,
                    last_error: row.last_error,
                    last_error_at: row.last_error_at,
                    capabilities: row.capabilities,
                    started_at: row.started_at,
                    heartbeat_at: row.heartbeat_at,
                })
            })
            .collect()
    }
}
