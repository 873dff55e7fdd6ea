//! Alerts against a database of their own: listing, decisions, expiry, counters, and what goes with time.

mod by_rule;
mod deciding;
pub(super) mod field;
mod leaving;
mod listing;
mod many;
mod sightings;
mod telling;
