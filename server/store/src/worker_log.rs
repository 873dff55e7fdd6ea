//! What workers said while they worked on a task: by month, numbered per task, bounded per task.
//!
//! Lines come in batches and are fenced like everything a worker writes: of an attempt that is not the task's
//! newest, or was given up as lost, none is taken. The number is given by the update that locks the task's row,
//! so lines have no gaps and their order is that of commits.
//!
//! A log is worth less than the work: a batch is not waited for on disk, and a crash of Postgres may lose the
//! last moment of it.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::{TaskId, WorkerId, text};
use uuid::Uuid;

use crate::connect::Store;
use crate::credential::LeaseRight;
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;

/// Lines of one task, over all its attempts: more than anybody reads, few enough that a task which is tried
/// for days stays small.
pub const LINES_OF_TASK_MAX: i32 = 2_000;
/// And their bytes together.
pub const BYTES_OF_TASK_MAX: i64 = 1024 * 1024;
/// One line in bytes, as the table's check says; what is longer is cut.
pub const LINE_BYTES_MAX: usize = 4_096;
/// Lines that are handed in at once; a worker sends more in several batches.
pub const LINES_AT_ONCE_MAX: usize = 500;
/// A line older than this was kept back by a worker that was stopped; it counts as this old.
const AGE_SECONDS_MAX: f64 = 3_600.0;
/// Months that have a partition before they begin, so that a month's end needs nobody.
const MONTHS_AHEAD: i32 = 2;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineLevel {
    /// A step.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

impl LineLevel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warn, Self::Error];

    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level of that name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// A line to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// How much it matters.
    pub level: LineLevel,
    /// The words; control characters are left out.
    pub message: String,
    /// How long ago it was said: the worker's clock is not asked.
    pub age: Duration,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    All,
    /// The task's log is full: the rest of this batch is left out, and all that comes after it.
    Full,
    /// The attempt may not write any more.
    Late,
}

/// A line as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// From 1, over all attempts of the task.
    pub seq: i32,
    /// In which attempt.
    pub attempt: i32,
    /// By which start of a worker.
    pub worker_id: WorkerId,
    /// How much it matters.
    pub level: LineLevel,
    /// The words.
    pub message: String,
    /// When it was said.
    pub created_at: DateTime<Utc>,
}

/// Appends a batch of at most [`LINES_AT_ONCE_MAX`] lines, in their order.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn append(tx: &mut TenantTx, right: &LeaseRight, lines: &[NewLine]) -> Result<Written, StoreError> {
    let held = sqlx::query!(
        r#"
        select t.log_lines, t.log_bytes from tenant.task t
        where t.tenant_id = $1 and t.id = $2 and t.attempt = $3
          and exists (select from tenant.task_attempt a
                      where a.tenant_id = $1 and a.task_id = $2 and a.attempt = $3 and a.worker_id = $4
                        and a.outcome is distinct from 'lost')
        for no key update of t
        "#,
        tx.tenant(),
        right.task.uuid(),
        right.attempt,
        right.worker.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(held) = held else {
        return Ok(Written::Late);
    };
    let kept = fitting(held.log_lines, held.log_bytes, lines);
    let written = if kept.is_full { Written::Full } else { Written::All };
    if kept.messages.is_empty() {
        return Ok(written);
    }
    // the next commit waits for the disk again, for this one nobody does
    sqlx::query!(
        r#"
        with numbered as (
            update tenant.task set log_lines = log_lines + cardinality($5::text[]), log_bytes = log_bytes + $8
            where tenant_id = $1 and id = $2 returning log_lines - cardinality($5::text[]) as before)
        insert into tenant.worker_log (tenant_id, task_id, seq, attempt, worker_id, level, message, created_at)
        select $1, $2, numbered.before + line.ordinal::int, $3, $4, line.level, line.message,
               -- not before this month: its partition is there
               greatest(now() - make_interval(secs => line.age),
                        date_trunc('month', now() at time zone 'UTC') at time zone 'UTC')
        from numbered, unnest($5::text[], $6::text[], $7::float8[])
            with ordinality line(message, level, age, ordinal)
        "#,
        tx.tenant(),
        right.task.uuid(),
        right.attempt,
        right.worker.uuid(),
        &kept.messages,
        &kept.levels,
        &kept.ages,
        kept.bytes
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!("set local synchronous_commit = off")
        .execute(tx.connection())
        .await?;
    Ok(written)
}

/// A batch, column by column.
#[derive(Debug, Default)]
struct Kept {
    messages: Vec<String>,
    levels: Vec<String>,
    ages: Vec<f64>,
    bytes: i64,
    is_full: bool,
}

/// What still fits behind `lines_before` and `bytes_before`; the last line that does says that the log ends.
fn fitting(lines_before: i32, bytes_before: i64, lines: &[NewLine]) -> Kept {
    let mut kept = Kept::default();
    let mut room = LINES_OF_TASK_MAX.saturating_sub(lines_before);
    if bytes_before >= BYTES_OF_TASK_MAX {
        room = 0;
    }
    for line in lines.iter().take(LINES_AT_ONCE_MAX) {
        if room <= 0 {
            kept.is_full = true;
            break;
        }
        let words = text::printable(&line.message);
        let message = text::cut(&words, LINE_BYTES_MAX);
        let bytes = bytes_before + kept.bytes + i64::try_from(message.len()).unwrap_or(i64::MAX);
        let is_last = room == 1 || bytes >= BYTES_OF_TASK_MAX;
        let (level, message) = if is_last {
            (
                LineLevel::Warn,
                "the log of this task is full; what follows is left out",
            )
        } else {
            (line.level, message)
        };
        kept.messages.push(message.to_owned());
        kept.levels.push(level.as_str().to_owned());
        kept.ages.push(line.age.as_secs_f64().min(AGE_SECONDS_MAX));
        // full is full: no shorter line may find room later
        kept.bytes = if is_last { BYTES_OF_TASK_MAX } else { bytes } - bytes_before;
        room = if is_last { 0 } else { room - 1 };
    }
    kept
}

/// The same page of each of these tasks' lines, by their numbers; of one attempt if said.
///
/// Served by the primary key `(tenant_id, task_id, seq, created_at)` of each partition.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(
    tx: &mut TenantTx,
    tasks: &[TaskId],
    attempt: Option<i32>,
    window: Window<i32>,
) -> Result<HashMap<TaskId, Page<LogLine>>, StoreError> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query!(
        r#"
        select line.task_id as "task_id!", line.seq as "seq!", line.attempt as "attempt!",
               line.worker_id as "worker_id!", line.level as "level!", line.message as "message!",
               line.created_at as "created_at!"
        from unnest($2::uuid[]) wanted(task_id)
        cross join lateral (
            (select * from tenant.worker_log
             where tenant_id = $1 and task_id = wanted.task_id and ($3::int is null or seq > $3)
               and ($4::int is null or seq < $4) and ($5::int is null or attempt = $5) and not $7
             order by seq limit $6)
            union all
            (select * from tenant.worker_log
             where tenant_id = $1 and task_id = wanted.task_id and ($3::int is null or seq > $3)
               and ($4::int is null or seq < $4) and ($5::int is null or attempt = $5) and $7
             order by seq desc limit $6)) line
        order by line.task_id, line.seq
        "#,
        tx.tenant(),
        &ids,
        window.after,
        window.before,
        attempt,
        window.limit.probe(),
        window.from_end
    )
    .fetch(tx.connection());
    let rows = allowance
        .collect(rows, |row| size_of::<LogLine>() as u64 + row.message.len() as u64)
        .await?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let line = LogLine {
            seq: row.seq,
            attempt: row.attempt,
            worker_id: row.worker_id.into(),
            level: LineLevel::parse(&row.level)
                .ok_or_else(|| StoreError::unreadable("log level", &row.level))?,
            message: row.message,
            created_at: row.created_at,
        };
        lines.push((TaskId::from(row.task_id), line));
    }
    Ok(Page::between_each(lines, &window))
}

/// How many lines each of these tasks has, of one attempt if said. Tasks without any are left out.
///
/// Served by the primary key of each partition.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts(
    tx: &mut TenantTx,
    tasks: &[TaskId],
    attempt: Option<i32>,
) -> Result<Vec<(TaskId, i64)>, StoreError> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select task_id, count(*) as "lines!" from tenant.worker_log
        where tenant_id = $1 and task_id = any($2) and ($3::int is null or attempt = $3) group by task_id
        "#,
        tx.tenant(),
        &ids,
        attempt
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.task_id.into(), row.lines))
        .collect())
}

impl Store {
    /// Makes the partitions of the coming months and drops those whose last line is older than `keep_days`
    /// days; answers how many it made and dropped. Idempotent; whoever comes second has nothing to do.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not do it, or others hold the table for longer than a second.
    pub async fn keep_worker_log(&self, keep_days: u32) -> Result<u64, StoreError> {
        let moved = sqlx::query_scalar!(
            r#"select tenant.keep_worker_log($1, $2) as "moved!""#,
            i32::try_from(keep_days).unwrap_or(i32::MAX),
            MONTHS_AHEAD
        )
        .fetch_one(&self.control)
        .await?;
        Ok(u64::from(moved.cast_unsigned()))
    }
}
