//! Alerts against a database of their own: listing, decisions, expiry, counters.

mod deciding;
pub(super) mod field;
mod listing;
mod telling;
