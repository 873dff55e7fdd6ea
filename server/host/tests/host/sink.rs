//! A sink that keeps everything in memory and can be told to fail.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use sha2::{Digest, Sha256};
use tamiz_core::{Diagnostic, Finding, LogLevel};
use tamiz_host::{ArtifactHandle, ArtifactMeta, ConvertSink, Progress, SinkError, StoredArtifact};

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) findings: Vec<Finding>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) progress: Vec<Progress>,
    pub(crate) log: Vec<String>,
    pub(crate) open: BTreeMap<ArtifactHandle, (ArtifactMeta, Vec<u8>)>,
    pub(crate) artifacts: Vec<(ArtifactMeta, Vec<u8>)>,
    pub(crate) dropped: u32,
    pub(crate) fails_on_findings: bool,
    pub(crate) stores_wrong_bytes: bool,
    /// Told at the first progress.
    pub(crate) begun: Option<Sender<()>>,
}

impl Kept {
    pub(crate) fn codes(&self) -> Vec<&str> {
        self.diagnostics.iter().map(|it| it.code.as_str()).collect()
    }
}

impl ConvertSink for Kept {
    fn findings(&mut self, batch: Vec<Finding>) -> Result<(), SinkError> {
        if self.fails_on_findings {
            return Err(SinkError::new("the disk is full"));
        }
        assert!(!batch.is_empty());
        self.findings.extend(batch);
        Ok(())
    }

    fn diagnostic(&mut self, diagnostic: Diagnostic) -> Result<(), SinkError> {
        self.diagnostics.push(diagnostic);
        Ok(())
    }

    fn progress(&mut self, progress: Progress) {
        self.progress.push(progress);
        if let Some(begun) = self.begun.take() {
            begun.send(()).expect("the test listens");
        }
    }

    fn log(&mut self, _level: LogLevel, line: &str) {
        self.log.push(line.to_owned());
    }

    fn artifact_open(&mut self, handle: ArtifactHandle, meta: ArtifactMeta) -> Result<(), SinkError> {
        assert!(self.open.insert(handle, (meta, Vec::new())).is_none());
        Ok(())
    }

    fn artifact_write(&mut self, handle: ArtifactHandle, chunk: &[u8]) -> Result<(), SinkError> {
        let (_, bytes) = self.open.get_mut(&handle).expect("it is open");
        bytes.extend(chunk);
        Ok(())
    }

    fn artifact_finish(&mut self, handle: ArtifactHandle) -> Result<StoredArtifact, SinkError> {
        let (meta, mut bytes) = self.open.remove(&handle).expect("it is open");
        if self.stores_wrong_bytes {
            bytes.pop();
        }
        let stored = StoredArtifact {
            sha256: hex::encode(Sha256::digest(&bytes)),
            size_bytes: bytes.len() as u64,
        };
        self.artifacts.push((meta, bytes));
        Ok(stored)
    }

    fn artifact_drop(&mut self, handle: ArtifactHandle) {
        self.open.remove(&handle).expect("it is open");
        self.dropped += 1;
    }
}
