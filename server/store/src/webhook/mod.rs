//! Webhooks: endpoints that want to hear, messages that tell, deliveries that wait, and the log of how they went.
//!
//! Whoever changes alerts or ends a task says so to the transaction's [`outbox`]; its commit writes one message per kind
//! of change, if an endpoint wants it, with a delivery per endpoint. So nothing is told that was rolled back, and nothing
//! that was committed is forgotten. Texts and secrets are rows of the tenant; that a delivery waits, and until when, is
//! in the control database ([`due`]), so that who sends visits only tenants who have something to send.
//!
//! Not here: signing and sending (the app).

mod age;
mod body;
pub mod delivery;
pub mod due;
pub mod endpoint;
mod expiring;
mod log;
pub(crate) mod outbox;
pub mod replay;
#[cfg(test)]
mod tests;

pub use log::{Attempt, Delivery, attempts_of, deliveries};
