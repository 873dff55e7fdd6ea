//! Findings: one result of one task each, and their occurrences. Written in batches, read in keyset pages.

mod content;
pub(crate) mod content_row;
mod insert;
mod months;
mod nested;
mod occurrence;
mod read;
mod said;
mod sweep;

pub use content::{CONTENTS_PER_INSERT, NewContent, insert_contents, missing_contents};
pub(crate) use content::{array_literal, contents, paths};
pub use content_row::ContentRow;
pub use insert::{NewFinding, insert};
pub(crate) use months::OpenMonths;
pub use months::{FindingMonth, KEPT};
#[cfg(test)]
pub(crate) use nested::push_pages;
pub use nested::{FindingParents, counts_of, pages_of};
pub use occurrence::{
    NewOccurrence, OccurrenceRow, insert_occurrences, occurrence_counts_of, occurrence_pages_of,
};
pub use read::{
    FindingFilter, FindingOrder, FindingPosition, FindingRow, by_ids, count, page, severity_counts,
};
pub use said::Said;
