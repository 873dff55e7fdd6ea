//! The worker: claims tickets, runs tools and plugins, hands in what they bring.
//!
//! ```text
//! claim -> begin -> prepare -> (plan -> tools) -> convert into a spool file -> finish
//!          tx                   boxed processes    wasm, memory stays flat      one fenced tx
//! ```
//!
//! No transaction is held across a tool run or a plugin call. A worker may lose its lease at any time
//! (silence, a restart of Postgres); it then stops, and what it wrote late changes nothing, because
//! every write carries the attempt number.
//!
//! Not here: who may ask for work (`flow`), how a tool is boxed (`tool`), what a report means (plugins).

mod arrival;
mod attempt;
mod candidates;
mod contact;
mod convert;
mod crew;
mod desk;
mod end;
mod failure;
mod grants;
mod leases;
mod life;
mod logbook;
mod name;
mod prepare;
mod reporter;
mod scan;
mod session;
mod source_lines;
mod stop;
mod target;
mod workplace;

pub use arrival::Arrival;
pub use crew::{Worker, WorkerError};
pub use desk::remote::{Access, AccessError, Client, RemoteError};
