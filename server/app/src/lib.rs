//! The server of Tamiz: configuration, storage of blobs, the embedded database, the command line.
//!
//! The binary `tamiz` is [`cli::run`]; everything else is a library so that tests and benches reach it.

pub mod api;
pub mod author;
pub mod blob;
mod causes;
pub mod cli;
pub mod config;
pub mod embedded;
pub mod flow;
pub mod limiter;
pub mod metrics_page;
mod names;
pub mod oci;
pub mod platform;
pub mod plugins;
mod scratch;
mod services;
pub mod spool;
pub mod target;
pub mod telemetry;
pub mod tool;
pub mod upkeep;
pub mod webhook;
pub(crate) mod wire;
pub mod worker;
