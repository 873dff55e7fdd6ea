//! The seam between a plugin and the platform, as traits.
//!
//! In a component they are the WIT imports; in tests and benches they are [`crate::memory`]. They
//! have the shape of the WIT functions and add nothing: batching, throttling and limits are in
//! [`crate::Emitter`], [`crate::Progress`] and [`crate::Diagnostics`].

use crate::model::{
    ArtifactMeta, ConvertError, Description, Diagnostic, Finding, IoError, LogLevel, Outcome, PlanError,
    ScanRequest, ToolRun,
};

/// What a plugin does. All three are pure: the same arguments give the same answer.
pub trait Scanner {
    /// Who the plugin is and what it reads.
    fn describe() -> Description;

    /// Which tools are to run for a request.
    ///
    /// # Errors
    /// [`PlanError`] when the options do not fit or the target is of a kind that is not scanned.
    fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError>;

    /// Turns reports into findings. The request is the one that was planned for; a report that somebody
    /// uploaded has the target kind `report` and no target.
    ///
    /// # Errors
    /// [`ConvertError`] when nothing, or not the whole envelope, could be read.
    fn convert(
        inputs: Vec<Box<dyn Input>>,
        request: &ScanRequest,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError>;
}

/// What the platform does for a plugin.
pub trait Host {
    /// Hands over findings; they are kept whatever happens later.
    ///
    /// # Errors
    /// [`IoError`] when a limit of the run is used up.
    fn emit_findings(&mut self, batch: &[Finding]) -> Result<(), IoError>;

    /// Tells the readers of the task something about its report.
    fn emit_diagnostic(&mut self, diagnostic: &Diagnostic);

    /// `done` of `total` bytes.
    fn progress(&mut self, done: u32, total: Option<u32>);

    /// For the plugin's author.
    fn log(&mut self, level: LogLevel, message: &str);

    /// A keyed hash of a secret, in hex: the same secret has the same one within a tenant, and nobody
    /// without the platform's key can try secrets against it.
    fn secret_identity(&mut self, value: &[u8]) -> String;

    /// A file of the scanned upload by its path in the tree; nothing when there is no tree or no such
    /// file.
    fn open_source(&mut self, path: &str) -> Option<Box<dyn Input>>;

    /// Opens an artifact; dropped without [`Artifact::finish`] it is forgotten.
    fn artifact(&mut self, meta: &ArtifactMeta) -> Box<dyn Artifact>;
}

/// One named stream of bytes.
pub trait Input {
    /// Its name, for messages.
    fn name(&self) -> String;

    /// As declared by whoever gave it; a hint, never a proof.
    fn media_type(&self) -> Option<String>;

    /// In bytes, when known.
    fn size(&self) -> Option<u32>;

    /// At most `max` bytes; empty is the end.
    ///
    /// # Errors
    /// [`IoError`] when the platform cannot or will not read on.
    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError>;

    /// Starts again at the first byte.
    ///
    /// # Errors
    /// [`IoError`] when the platform cannot or will not.
    fn rewind(&mut self) -> Result<(), IoError>;
}

/// Bytes on their way to the object store.
pub trait Artifact {
    /// Appends.
    ///
    /// # Errors
    /// [`IoError`] when a limit of the run is used up.
    fn write(&mut self, chunk: &[u8]) -> Result<(), IoError>;

    /// Keeps what was written and answers its SHA-256 in hex.
    ///
    /// # Errors
    /// [`IoError`] when it could not be stored.
    fn finish(self: Box<Self>) -> Result<String, IoError>;
}
