//! Every limit of the SDK, with its unit and its reason.
//!
//! The host has its own limits and does not trust these; they only keep an honest plugin well
//! inside the host's, so that an odd report costs a diagnostic and not the run.

/// How much is asked of an input at once: large enough that the call costs nothing beside the
/// parsing, and exactly what the host clamps to.
pub const READ_BYTES: u32 = 256 * 1024;

/// Findings per batch; larger ones were measured to gain nothing.
pub const BATCH_FINDINGS: usize = 64;

/// A batch leaves before it would weigh more than this, lists and records counted, so that one call
/// stays far below what the host lets a single call lift out of the guest.
pub const BATCH_BYTES: usize = 512 * 1024;

/// What one call may carry: the host ends a run that hands over more. The heaviest finding that
/// [`crate::FindingBuilder`] makes has half of it; it leaves in a batch of its own.
pub const CALL_BYTES: usize = 4 * 1024 * 1024;

/// One record of a report. Tools write kilobytes; what is larger is damage or an attack, and the
/// whole record has to fit into memory.
pub const RECORD_BYTES: usize = 8 * 1024 * 1024;

/// Nesting of JSON, `serde_json`'s own limit: deeper is refused without recursion.
pub const JSON_DEPTH: u32 = 128;

/// A key of the envelope; reports use a dozen characters.
pub const KEY_BYTES: usize = 1024;

/// Diagnostics per code that are told one by one; the rest is counted and told at the end.
pub const DIAGNOSTICS_PER_CODE: u32 = 100;

/// Diagnostics of a conversion in all, before only the counts are kept.
pub const DIAGNOSTICS_TOTAL: u32 = 500;

/// Text of one diagnostic: a person reads it.
pub const DIAGNOSTIC_BYTES: usize = 1024;

/// Bytes between two progress calls: a few dozen calls for the largest reports.
pub const PROGRESS_BYTES: u64 = 2 * 1024 * 1024;

/// A finding's message and its remediation.
pub const MESSAGE_BYTES: usize = 64 * 1024;

/// A finding's title: one line of a table.
pub const TITLE_BYTES: usize = 300;

/// A snippet of source text; tools quote minified files whole.
pub const SNIPPET_BYTES: usize = 4 * 1024;

/// A path: `PATH_MAX` of the systems that can hold the file.
pub const PATH_BYTES: usize = 4096;

/// Ids, names, words, tags.
pub const WORD_BYTES: usize = 512;

/// A reference's address.
pub const REFERENCE_BYTES: usize = 2048;

/// A finding's replacement text: half of what the host keeps of a finding's `extra`, where it stands.
pub const FIX_BYTES: usize = 32 * 1024;

/// Steps of a finding's code flow: who reads it wants its source and its end, and the host keeps it as one
/// value of `extra`.
pub const FLOW_STEPS: usize = 20;

/// A step's message, and a suppression's justification: they stand in one value of `extra`, too.
pub const FLOW_BYTES: usize = WORD_BYTES;

/// Suppressions of one finding; honest ones have one or two.
pub const SUPPRESSIONS: usize = 16;

/// One value of `extra`.
pub const EXTRA_BYTES: usize = 16 * 1024;

/// Entries of each list of a finding (places, CWEs, references, tags, extra).
pub const LIST_ENTRIES: usize = 64;

/// Nesting of XML: reports use a dozen levels, and nothing recurses on it.
pub const XML_DEPTH: usize = 64;

/// Attributes of one XML element: honest ones have a dozen; looking for doubled ones is quadratic.
pub const XML_ATTRIBUTES: usize = 256;

/// Elements of one XML record, so that the smallest elements cannot make a record of
/// [`RECORD_BYTES`] large in memory; the largest honest one, a host with all its ports, has half of it.
pub const XML_NODES: usize = 200_000;

/// Places of an XML document in one window that are not of its encoding; with more of them it is
/// another encoding.
pub const XML_DAMAGES: usize = 10_000;

/// The beginning of an input that is looked at to tell its format; records of most formats show
/// themselves in the first kilobytes.
pub const HEAD_BYTES: usize = 256 * 1024;

/// Columns of a table; the widest honest one has two dozen.
pub const TABLE_COLUMNS: usize = 1024;
