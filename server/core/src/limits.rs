//! Limits on everything that can grow. Each is a hard ceiling of the model; plans may be tighter.

/// A finding's message, in bytes; more is cut with a diagnostic. A screenful of a thousand lines.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// A title, rule id, rule name or tool name, in bytes.
pub const LABEL_BYTES_MAX: usize = 1024;
/// A path, URL or host, in bytes: `PATH_MAX` of Linux.
pub const PLACE_BYTES_MAX: usize = 4096;
/// Source text or evidence kept with a place, in bytes.
pub const SNIPPET_BYTES_MAX: usize = 16 * 1024;
/// Places of one finding; more are counted, not kept.
pub const LOCATIONS_MAX: usize = 100;
/// CWE numbers, advisory ids, references or tags of one finding.
pub const LIST_ITEMS_MAX: usize = 100;
/// All `extra` values of one finding together, in bytes of JSON.
pub const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// Findings of one task: what a person could still page through, and a bound on one transaction.
pub const FINDINGS_PER_TASK_MAX: u32 = 500_000;
/// Diagnostics kept per task; the rest are counted.
pub const DIAGNOSTICS_PER_TASK_MAX: usize = 1_000;
/// A project's name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 200;
/// A task's options, in bytes of JSON.
pub const OPTIONS_BYTES_MAX: usize = 64 * 1024;
/// Rules of one task, in bytes: the largest public rule packs have a quarter of it.
pub const RULES_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Rows of one page of a connection.
pub const PAGE_ROWS_MAX: u32 = 100;
/// Highest task priority; 0 is lowest and the default.
pub const PRIORITY_MAX: i16 = 100;
/// A file name of an upload or artifact, in bytes.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Live API tokens of one tenant.
pub const TOKENS_PER_TENANT_MAX: i64 = 1_000;
