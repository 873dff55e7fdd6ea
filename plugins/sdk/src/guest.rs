//! The platform as a component sees it: [`Host`] and [`Input`] over the WIT imports.
//!
//! Used by [`crate::export_scanner!`] only.

use crate::bindings::tamiz::scanner::host;
use crate::host::{Artifact, Host, Input, Scanner};
use crate::model::{
    ArtifactMeta, ConvertError, Diagnostic, Finding, IoError, LogLevel, Outcome, ScanRequest,
};

/// Runs a scanner's `convert` on the component's own inputs.
///
/// # Errors
/// Whatever the scanner answers.
pub fn convert<S: Scanner>(inputs: Vec<host::Input>, request: &ScanRequest) -> Result<Outcome, ConvertError> {
    let inputs = inputs
        .into_iter()
        .map(|input| Box::new(ComponentInput(input)) as Box<dyn Input>)
        .collect();
    S::convert(inputs, request, &mut ComponentHost)
}

struct ComponentHost;

impl Host for ComponentHost {
    fn emit_findings(&mut self, batch: &[Finding]) -> Result<(), IoError> {
        host::emit_findings(batch)
    }

    fn emit_diagnostic(&mut self, diagnostic: &Diagnostic) {
        host::emit_diagnostic(diagnostic);
    }

    fn progress(&mut self, done: u32, total: Option<u32>) {
        host::progress(done, total);
    }

    fn log(&mut self, level: LogLevel, message: &str) {
        host::log(level, message);
    }

    fn secret_identity(&mut self, value: &[u8]) -> String {
        host::secret_identity(value)
    }

    fn open_source(&mut self, path: &str) -> Option<Box<dyn Input>> {
        let input = host::open_source(path)?;
        Some(Box::new(ComponentInput(input)))
    }

    fn artifact(&mut self, meta: &ArtifactMeta) -> Box<dyn Artifact> {
        Box::new(ComponentArtifact(host::Artifact::new(meta)))
    }
}

struct ComponentInput(host::Input);

impl Input for ComponentInput {
    fn name(&self) -> String {
        self.0.name()
    }

    fn media_type(&self) -> Option<String> {
        self.0.media_type()
    }

    fn size(&self) -> Option<u32> {
        self.0.size()
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        self.0.read(max)
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        self.0.rewind()
    }
}

struct ComponentArtifact(host::Artifact);

impl Artifact for ComponentArtifact {
    fn write(&mut self, chunk: &[u8]) -> Result<(), IoError> {
        self.0.write(chunk)
    }

    fn finish(self: Box<Self>) -> Result<String, IoError> {
        self.0.finish()
    }
}
