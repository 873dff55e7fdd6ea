//! Captures as they come: every case with its expected answer beside it, against counts that another
//! program made, and damaged in every way.
//!
//! `BLESS=1 cargo test -p tamiz-pcap` writes the expected answers anew; look at the diff.

#![expect(clippy::expect_used, clippy::panic, reason = "tests end by panicking")]

mod cases;
mod damage;
mod detection;
mod forge;
mod run;
