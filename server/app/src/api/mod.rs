//! The front door: GraphQL, uploads, artifacts, health.
//!
//! Handlers read requests, call flows or the store, and write answers. There is no SQL here and no
//! rule of the domain: writes go through `flow`, reads through `tamiz_store`.

pub mod cost;
pub mod errors;
pub mod graphiql;
pub mod guard;
pub mod refused;
pub mod transport;
