//! What only shows over many packets: scans, beacons, and DNS used for other ends.
//!
//! Each keeps a table of bounded size ([`crate::table`]) and tells what it found when an entry is
//! forgotten or the capture ends.
//!
//! Not here: what one conversation shows by itself (see [`crate::dialogue`]).

mod beacons;
mod dns;
mod scans;

use tamiz_sdk::model::Span;

pub(crate) use beacons::Beacons;
pub(crate) use dns::{DnsWatch, Message as DnsMessage};
pub(crate) use scans::{Answer, Scans};

/// When something was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) packet: u32,
    /// In nanoseconds.
    pub(crate) time: i64,
    /// The packet's record in the capture.
    pub(crate) span: Span,
}

/// Nanoseconds as seconds for a reader.
fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}
