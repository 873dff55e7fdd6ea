//! Keeps what a conversion emits, and measures its artifacts.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tamiz_core::{Diagnostic, Finding, LogLevel};
use tamiz_host::{ArtifactHandle, ArtifactMeta, ConvertSink, SinkError, StoredArtifact};

/// Findings of one case: a larger report belongs into a bench.
const FINDINGS_MAX: usize = 200_000;

#[derive(Default)]
pub(super) struct KeepingSink {
    pub(super) findings: Vec<Finding>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Finished ones, in the order of their ends.
    pub(super) artifacts: Vec<Value>,
    /// For the author; bounded by the host.
    pub(super) log: Vec<String>,
    open: BTreeMap<ArtifactHandle, (ArtifactMeta, Sha256, u64)>,
}

impl ConvertSink for KeepingSink {
    fn findings(&mut self, batch: Vec<Finding>) -> Result<(), SinkError> {
        if self.findings.len() + batch.len() > FINDINGS_MAX {
            let message = format!("a case has at most {FINDINGS_MAX} findings");
            return Err(SinkError::new(message));
        }
        self.findings.extend(batch);
        Ok(())
    }

    fn diagnostic(&mut self, diagnostic: Diagnostic) -> Result<(), SinkError> {
        self.diagnostics.push(diagnostic);
        Ok(())
    }

    fn log(&mut self, level: LogLevel, line: &str) {
        self.log.push(format!("{}: {line}", word(level)));
    }

    fn artifact_open(&mut self, handle: ArtifactHandle, meta: ArtifactMeta) -> Result<(), SinkError> {
        self.open.insert(handle, (meta, Sha256::new(), 0));
        Ok(())
    }

    fn artifact_write(&mut self, handle: ArtifactHandle, chunk: &[u8]) -> Result<(), SinkError> {
        if let Some((_, hash, size_bytes)) = self.open.get_mut(&handle) {
            hash.update(chunk);
            *size_bytes += chunk.len() as u64;
        }
        Ok(())
    }

    fn artifact_finish(&mut self, handle: ArtifactHandle) -> Result<StoredArtifact, SinkError> {
        let Some((meta, hash, size_bytes)) = self.open.remove(&handle) else {
            return Err(SinkError::new("an artifact that was never opened"));
        };
        let sha256 = hex::encode(hash.finalize());
        self.artifacts.push(json!({
            "name": meta.name,
            "media_type": meta.media_type,
            "kind": meta.kind,
            "sha256": sha256,
            "size_bytes": size_bytes,
        }));
        Ok(StoredArtifact { sha256, size_bytes })
    }

    fn artifact_drop(&mut self, handle: ArtifactHandle) {
        self.open.remove(&handle);
    }
}

const fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}
