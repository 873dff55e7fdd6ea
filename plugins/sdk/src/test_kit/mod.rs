//! What the tests of every plugin for reports share. Only with the feature `test-kit`.
//!
//! A plugin keeps reports in `cases/FORMAT/` (large ones gzipped) and beside each one, as
//! `NAME.expected.json`, what it gives. A [`Kit`] finds them and has one check per property:
//!
//! ```ignore
//! fn kit() -> Kit {
//!     Kit::new::<tamiz_web::Web>(env!("CARGO_MANIFEST_DIR"))
//! }
//!
//! #[test]
//! fn every_report_gives_what_stands_beside_it() {
//!     kit().check_cases();
//! }
//!
//! #[test]
//! fn counts_are_those_of_another_program() {
//!     kit().check_counts();
//! }
//!
//! #[test]
//! fn chunks_and_repetition_change_nothing() {
//!     kit().check_chunks();
//! }
//!
//! #[test]
//! fn a_cut_keeps_what_stands_before_it() {
//!     kit().check_cuts();
//! }
//!
//! #[test]
//! fn a_flipped_byte_keeps_what_stands_before_it() {
//!     kit().check_flips();
//! }
//!
//! #[test]
//! fn a_fault_in_a_field_costs_at_most_its_record() {
//!     kit().check_faults();
//! }
//!
//! #[test]
//! fn the_documented_severities_are_the_real_ones() {
//!     kit().check_severities("web", tamiz_web::SEVERITIES);
//! }
//! ```
//!
//! `BLESS=1 cargo test` writes the snapshots and the documentation anew; look at the diff.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "it is test code, and a failed check is a panic"
)]

mod answer;
mod cases;
mod damage;
mod faults;
mod growth;
mod json_fields;
mod kit;
mod text_fields;

pub use answer::{Answer, counted, place};
pub use cases::CountRow;
pub use growth::CountingAllocator;
pub use kit::Kit;
