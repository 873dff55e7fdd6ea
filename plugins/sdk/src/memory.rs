//! The platform in memory, for tests and benches: it keeps what a plugin emits.
//!
//! Artifacts are measured and thrown away.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::{Artifact, Host, Input};
use crate::model::{ArtifactMeta, Diagnostic, Finding, IoError, LogLevel};

/// A [`Host`] that keeps everything.
#[derive(Debug, Default)]
pub struct MemoryHost {
    /// In the order of emission.
    pub findings: Vec<Finding>,
    /// How many came in each batch.
    pub batches: Vec<usize>,
    /// In the order of emission.
    pub diagnostics: Vec<Diagnostic>,
    /// Every progress call.
    pub progress: Vec<(u32, Option<u32>)>,
    /// Every log line.
    pub log: Vec<String>,
    /// Refuse findings beyond this many, as the platform's limit does.
    pub findings_max: Option<usize>,
    /// The scanned upload: what `open_source` answers.
    pub sources: BTreeMap<String, Vec<u8>>,
}

impl Host for MemoryHost {
    fn emit_findings(&mut self, batch: &[Finding]) -> Result<(), IoError> {
        if self
            .findings_max
            .is_some_and(|max| self.findings.len() + batch.len() > max)
        {
            return Err(IoError::OverLimit);
        }
        self.batches.push(batch.len());
        self.findings.extend_from_slice(batch);
        Ok(())
    }

    fn emit_diagnostic(&mut self, diagnostic: &Diagnostic) {
        self.diagnostics.push(diagnostic.clone());
    }

    fn progress(&mut self, done: u32, total: Option<u32>) {
        self.progress.push((done, total));
    }

    fn log(&mut self, _level: LogLevel, message: &str) {
        self.log.push(message.to_owned());
    }

    fn secret_identity(&mut self, value: &[u8]) -> String {
        test_identity(value)
    }

    fn open_source(&mut self, path: &str) -> Option<Box<dyn Input>> {
        let bytes = self.sources.get(path)?;
        Some(Box::new(MemoryInput::new(path, bytes.as_slice())))
    }

    fn artifact(&mut self, _meta: &ArtifactMeta) -> Box<dyn Artifact> {
        Box::new(Discarded)
    }
}

/// A [`Host`] that only counts: for benches, and for reports larger than a test wants to keep.
#[derive(Debug, Default)]
pub struct CountingHost {
    /// Findings emitted.
    pub findings: usize,
    /// Diagnostics emitted.
    pub diagnostics: usize,
}

impl Host for CountingHost {
    fn emit_findings(&mut self, batch: &[Finding]) -> Result<(), IoError> {
        self.findings += batch.len();
        Ok(())
    }

    fn emit_diagnostic(&mut self, _diagnostic: &Diagnostic) {
        self.diagnostics += 1;
    }

    fn progress(&mut self, _done: u32, _total: Option<u32>) {}

    fn log(&mut self, _level: LogLevel, _message: &str) {}

    fn secret_identity(&mut self, value: &[u8]) -> String {
        test_identity(value)
    }

    fn open_source(&mut self, _path: &str) -> Option<Box<dyn Input>> {
        None
    }

    fn artifact(&mut self, _meta: &ArtifactMeta) -> Box<dyn Artifact> {
        Box::new(Discarded)
    }
}

/// Stands in for the platform's keyed hash: FNV-1a, which keeps nothing secret.
fn test_identity(value: &[u8]) -> String {
    let hash = value.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("test-{hash:016x}")
}

struct Discarded;

impl Artifact for Discarded {
    fn write(&mut self, _chunk: &[u8]) -> Result<(), IoError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<String, IoError> {
        Ok(String::new())
    }
}

/// An [`Input`] over bytes, handed out in chunks of a chosen size.
#[derive(Debug, Clone)]
pub struct MemoryInput {
    name: String,
    bytes: Arc<[u8]>,
    position: usize,
    chunk_bytes: usize,
    rewinds_left: u32,
}

impl MemoryInput {
    /// An input in chunks as large as asked for. Cloning shares the bytes.
    pub fn new(name: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.into(),
            position: 0,
            chunk_bytes: usize::MAX,
            rewinds_left: u32::MAX,
        }
    }

    /// Hands out at most so many bytes at a time.
    #[must_use]
    pub fn with_chunk_bytes(mut self, chunk_bytes: usize) -> Self {
        self.chunk_bytes = chunk_bytes.max(1);
        self
    }

    /// Cannot be read twice, as a platform without `rewind`.
    #[must_use]
    pub fn without_rewind(mut self) -> Self {
        self.rewinds_left = 0;
        self
    }
}

impl Input for MemoryInput {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    fn size(&self) -> Option<u32> {
        u32::try_from(self.bytes.len()).ok()
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        let end = self
            .bytes
            .len()
            .min(self.position.saturating_add(self.chunk_bytes.min(max as usize)));
        let chunk = self.bytes[self.position..end].to_vec();
        self.position = end;
        Ok(chunk)
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        self.rewinds_left = self.rewinds_left.checked_sub(1).ok_or(IoError::Unavailable)?;
        self.position = 0;
        Ok(())
    }
}
