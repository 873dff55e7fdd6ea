//! The plugin host: bytes in, core types out. The only crate that names wasmtime.
//!
//! A plugin is a wasm component that exports the `plugin` interface of one of the worlds of `wit/`
//! (0.1 and 1.0) and imports nothing but `tamiz:scanner` and WASI: empty, or as granted. One conversion:
//!
//! ```text
//! Host::start(HostConfig)            one engine per process: pools, epoch ticks every 10 ms
//!   Plugin::load(&host, path)        digest -> cached native code, or a throw-away child compiles it;
//!                                    describe() is called once and checked
//!     plugin.convert(ConvertRequest) one store per call, never reused; batches go to the sink
//!       -> Converted { outcome, counts, sink }
//! ```
//!
//! What a caller must know:
//! - Everything here blocks. Call it from a blocking thread, never from an async task.
//! - Components are compiled by a child process (`HostConfig::compiler`, run as
//!   `PROGRAM compile-component --input F --output F`), which must call [`compile_child_main`].
//! - The wall deadline and [`CancelFlag`] act within about 20 ms, while guest code runs or waits
//!   in WASI: they do not interrupt a reader or a [`ConvertSink`], so those must be bounded in time
//!   themselves.
//! - What a plugin emitted before it failed stays in the sink. [`Converted::counts`] are the host's own
//!   counts and are right in every case.
//! - [`ConvertFailure::is_the_hosts`] tells a failure that may pass (try again) from a bad plugin or input.
//!
//! Not here: which findings are the same (core's fingerprints), where anything is stored, and which
//! tools may run (the worker's catalogue).

mod bindings;
mod cache;
mod compile;
mod compile_child;
mod description;
mod drive;
mod engine;
mod failure;
mod guest;
mod host_impl;
mod input;
mod limits;
mod model;
mod outcome;
mod plugin;
mod records;
mod registry;
mod request;
mod run;
mod services;
mod sink;
mod surface;
mod tool_run;
mod walk;
mod wasi;
mod words;
mod world_0;

pub use compile::{COMPILE_CHILD_SUBCOMMAND, CompileError};
pub use compile_child::compile_child_main;
pub use description::{Description, ReportFormat};
pub use engine::{CONCURRENCY_MAX, Host, HostConfig, HostError};
pub use failure::{ConvertFailure, PlanError, PluginError, TrapKind};
pub use guest::{WORLDS, World};
pub use input::{CancelFlag, Input, ReadSeek};
pub use limits::{MEMORY_BYTES_CEILING, RunLimits};
pub use outcome::{Completeness, Converted, Counts, Coverage, Outcome};
pub use plugin::Plugin;
pub use registry::{Registry, RegistryError};
pub use request::{ConvertRequest, Grants, NetworkGrant, ScanRequest};
pub use services::{ConvertServices, NoSources, SecretKey};
pub use sink::{ArtifactHandle, ArtifactMeta, ConvertSink, Progress, SinkError, StoredArtifact};
pub use surface::Surface;
pub use tool_run::{ToolOutput, ToolRun};
pub use walk::{COMPONENT_BYTES_MAX, Census, ComponentRefusal};
