//! What one run of a plugin may use up. Hard ceilings of the model are in `tamiz_core::limits`.

use std::time::Duration;

use tamiz_core::limits::{DIAGNOSTICS_PER_TASK_MAX, FINDINGS_PER_TASK_MAX};

/// Memory of one run, in bytes, that a plan may raise to at most [`MEMORY_BYTES_CEILING`].
pub(crate) const MEMORY_BYTES_DEFAULT: usize = 256 * 1024 * 1024;
/// Size of one memory slot of the pool, in bytes: no single memory ever grows beyond it. `CPython`
/// needs 293 MB for a 50 MB report.
pub const MEMORY_BYTES_CEILING: usize = 512 * 1024 * 1024;
/// Memories of one component: `CPython` has one, composed components a few.
pub(crate) const MEMORIES_MAX: u32 = 4;
/// Tables of one component.
pub(crate) const TABLES_MAX: u32 = 16;
/// Core instances of one component: `CPython` has 38 modules.
pub(crate) const CORE_INSTANCES_MAX: u32 = 64;
/// Elements of one table: `CPython`'s function table has about 13,500.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Bytes of one `read`: larger chunks gain nothing, and each is copied twice.
pub(crate) const READ_BYTES_MAX: u32 = 256 * 1024;
/// Rows of one call of a record reader: enough that the call costs nothing beside them.
pub(crate) const ROWS_MAX: u32 = 1_000;
/// Texts of such rows, in bytes; one record may have more.
pub(crate) const ROW_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Record readers open at a time: each may hold a record of 8 MiB, twice while it grows, and its parts.
pub(crate) const READERS_MAX: u32 = 4;
/// Bytes that the guest may hand over in one call, lifted before our code sees them. 64 findings of
/// the largest message fit.
pub(crate) const HOSTCALL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Handles of one run; a plugin needs its inputs and an open artifact or two.
pub(crate) const HANDLES_MAX: usize = 1_000;
/// Sockets that one run opens in all: a scan asks its target some dozen times.
pub(crate) const SOCKETS_MAX: u32 = 256;
/// Inputs of one conversion: reports of the tools of one task.
pub(crate) const INPUTS_MAX: usize = 64;
/// Files of the scanned upload opened in one run: a report names each of its files some dozen times, and
/// a plugin keeps the last.
pub(crate) const SOURCES_OPENED_MAX: u32 = 1_000_000;
/// A path that a plugin opens, in bytes: `PATH_MAX` of the systems that can hold the file.
pub(crate) const SOURCE_PATH_BYTES_MAX: usize = 4096;
/// Calls answered with an error after which the run ends: a plugin that does not listen.
pub(crate) const REFUSALS_MAX: u32 = 64;
/// Calls without effect (log lines, diagnostics, progress beyond their budget) after which the run ends:
/// more than one per record of the largest report.
pub(crate) const IGNORED_CALLS_MAX: u32 = 1_000_000;
/// Text of such calls together after which the run ends, in bytes: as many as one short line per record of
/// the largest report.
pub(crate) const IGNORED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One log line, in bytes.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 4 * 1024;
/// A message that goes with a verdict or a diagnostic, in bytes.
pub(crate) const VERDICT_BYTES_MAX: usize = 2 * 1024;
/// Least time between two progress reports to the sink: more would only be overwritten.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// `describe` and `plan` only build small values.
pub(crate) const SHORT_CALL_DEADLINE: Duration = Duration::from_secs(5);

/// What one conversion may use up; the default fits the shared plan.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// All memories of the guest together; at most 512 MiB each.
    pub memory_bytes: usize,
    /// Wall time of the whole call, reading and storing included.
    pub deadline: Duration,
    /// Findings kept.
    pub findings_max: u32,
    /// Text of all kept findings together, so that 500,000 of the largest cannot fill a disk.
    pub finding_bytes_max: u64,
    /// Diagnostics kept; the rest are counted.
    pub diagnostics_max: usize,
    /// Artifacts opened, finished or not.
    pub artifacts_max: u32,
    /// All artifacts together.
    pub artifact_bytes_max: u64,
    /// Log lines; one more is refused, and a plugin that goes on ends.
    pub log_lines_max: u32,
    /// All kept log lines together.
    pub log_bytes_max: usize,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES_DEFAULT,
            deadline: Duration::from_mins(5),
            findings_max: FINDINGS_PER_TASK_MAX,
            finding_bytes_max: 1024 * 1024 * 1024,
            diagnostics_max: DIAGNOSTICS_PER_TASK_MAX,
            artifacts_max: 1_000,
            artifact_bytes_max: 256 * 1024 * 1024,
            log_lines_max: 1_000,
            log_bytes_max: 256 * 1024,
        }
    }
}

impl RunLimits {
    /// These, for `describe` and `plan`, which have nothing to emit.
    pub(crate) fn of_short_call(&self) -> Self {
        Self {
            deadline: self.deadline.min(SHORT_CALL_DEADLINE),
            findings_max: 0,
            finding_bytes_max: 0,
            artifacts_max: 0,
            artifact_bytes_max: 0,
            ..self.clone()
        }
    }
}
