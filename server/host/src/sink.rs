//! Where a conversion's results go while it runs: the worker implements [`ConvertSink`].
//!
//! Methods are called on the thread that runs the guest, one at a time. They must be bounded in time:
//! the deadline cannot interrupt them. An error ends the run at once with `ConvertFailure::Sink`. For a
//! plugin with WASI that thread drives a tokio runtime, so they must not wait for another (`block_on`,
//! `blocking_send`).
//!
//! Not here: the budgets. The host has already applied them to what arrives.

use std::any::Any;
use std::error::Error;

use tamiz_core::{Diagnostic, Finding, LogLevel};

/// The sink could not keep what the plugin emitted; says nothing about the plugin.
#[derive(Debug, thiserror::Error)]
#[error("what the plugin emitted could not be kept")]
pub struct SinkError {
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl SinkError {
    /// Wraps what went wrong in the sink.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

/// Names one open artifact of one run; chosen by the host, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactHandle(pub u32);

/// What the plugin says about an artifact; bounded and printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactMeta {
    /// A label such as a file name, without `/`; never opened.
    pub name: String,
    /// Such as `text/plain`; empty when the plugin does not say.
    pub media_type: String,
    /// `evidence`, `report`, `screenshot`, …
    pub kind: String,
}

/// What the sink stored under one handle; the host compares it with what the guest wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArtifact {
    /// Of the stored bytes, lower-case hex.
    pub sha256: String,
    /// The stored bytes.
    pub size_bytes: u64,
}

/// How far the guest says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes or records, whichever the plugin counts.
    pub done: u32,
    /// Of so many, when known.
    pub total: Option<u32>,
    /// Findings kept so far, as the host counts them.
    pub findings: u32,
}

/// Takes what a conversion emits.
pub trait ConvertSink: Any + Send {
    /// Keeps a batch, in order. Never empty.
    ///
    /// # Errors
    /// [`SinkError`] ends the run; the batch counts as not kept.
    fn findings(&mut self, batch: Vec<Finding>) -> Result<(), SinkError>;

    /// Keeps one diagnostic.
    ///
    /// # Errors
    /// [`SinkError`] ends the run.
    fn diagnostic(&mut self, diagnostic: Diagnostic) -> Result<(), SinkError>;

    /// At most ten times a second, and once at the end.
    fn progress(&mut self, progress: Progress) {
        let _ = progress;
    }

    /// One line for the plugin's author; bounded, printable.
    fn log(&mut self, level: LogLevel, line: &str) {
        let _ = (level, line);
    }

    /// Begins an artifact. Exactly one of `artifact_finish` and `artifact_drop` follows.
    ///
    /// # Errors
    /// [`SinkError`] ends the run; the handle counts as dropped.
    fn artifact_open(&mut self, handle: ArtifactHandle, meta: ArtifactMeta) -> Result<(), SinkError>;

    /// Appends bytes, at most 4 MiB at a time.
    ///
    /// # Errors
    /// [`SinkError`] ends the run, after `artifact_drop`.
    fn artifact_write(&mut self, handle: ArtifactHandle, chunk: &[u8]) -> Result<(), SinkError>;

    /// Stores the artifact and says what was stored.
    ///
    /// # Errors
    /// [`SinkError`] ends the run, after `artifact_drop`.
    fn artifact_finish(&mut self, handle: ArtifactHandle) -> Result<StoredArtifact, SinkError>;

    /// Forgets an artifact that was not finished.
    fn artifact_drop(&mut self, handle: ArtifactHandle);
}
