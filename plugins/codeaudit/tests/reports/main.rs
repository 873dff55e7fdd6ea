//! The converter on real and hostile reports, natively.
//!
//! `cases/` holds the reports and beside each one what it must give; `BLESS=1 cargo test` writes
//! those anew. Six other views keep blessing honest: counts made by another program
//! (`counts.rs`), what a good system answers to hostile files (`hostile.rs`) and to what is no report
//! (`strangers.rs`), what the tool left out (`reach.rs`), that no secret is shown (`secrets.rs`), and
//! properties that hold for every file (`properties.rs`).

#![expect(clippy::expect_used, clippy::panic, reason = "a test's own code")]

mod answer;
mod cases;
mod counts;
mod hostile;
mod properties;
mod reach;
mod secrets;
mod strangers;
mod traps;
