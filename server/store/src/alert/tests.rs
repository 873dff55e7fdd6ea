//! Alerts against a database of their own: listing, decisions, expiry, counters.

mod deciding;
mod field;
mod listing;
mod telling;
