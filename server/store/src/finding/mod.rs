//! Findings: one result of one task each. Written in batches, read in keyset pages.

mod insert;
mod nested;
mod read;

pub use insert::{ROWS_PER_INSERT, StoredFinding, insert};
pub use nested::{FindingParents, counts_of, pages_of};
pub use read::{
    FindingFilter, FindingOrder, FindingPosition, FindingRow, by_ids, count, page, severity_counts,
};
