//! Findings: one result of one task each, and their occurrences. Written in batches, read in keyset pages.

mod insert;
mod nested;
mod occurrence;
mod read;

pub use insert::{ROWS_PER_INSERT, StoredFinding, insert};
pub use nested::{FindingParents, counts_of, pages_of};
pub use occurrence::{
    NewOccurrence, OccurrenceRow, insert_occurrences, occurrence_counts_of, occurrence_pages_of,
};
pub use read::{
    FindingFilter, FindingOrder, FindingPosition, FindingRow, by_ids, count, page, severity_counts,
};
