//! Findings on their way to the platform, in batches.
//!
//! Dropping the emitter hands over what is left, so a conversion that ends early loses nothing that
//! it had already understood.

use crate::host::Host;
use crate::limits::{BATCH_FINDINGS, BATCH_TEXT_BYTES};
use crate::model::{Finding, IoError};

/// Collects findings and hands them over in batches.
pub struct Emitter<'host> {
    host: &'host mut dyn Host,
    batch: Vec<Finding>,
    batch_bytes: usize,
    accepted: u32,
    refused: u32,
    failure: Option<IoError>,
}

impl<'host> Emitter<'host> {
    /// An emitter with an empty batch.
    pub fn new(host: &'host mut dyn Host) -> Self {
        Self {
            host,
            batch: Vec::with_capacity(BATCH_FINDINGS),
            batch_bytes: 0,
            accepted: 0,
            refused: 0,
            failure: None,
        }
    }

    /// The platform, for everything but findings.
    pub fn host(&mut self) -> &mut dyn Host {
        self.host
    }

    /// Adds a finding.
    ///
    /// # Errors
    /// [`IoError`] once the platform has refused a batch; nothing is taken after that.
    pub fn emit(&mut self, finding: Finding) -> Result<(), IoError> {
        self.batch_bytes += text_bytes(&finding);
        self.batch.push(finding);
        if self.batch.len() >= BATCH_FINDINGS || self.batch_bytes >= BATCH_TEXT_BYTES {
            return self.flush();
        }
        Ok(())
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// [`IoError`] when the platform refuses this batch or has refused one before.
    pub fn flush(&mut self) -> Result<(), IoError> {
        let count = self.batch.len() as u32;
        if self.failure.is_none() && count > 0 {
            self.failure = self.host.emit_findings(&self.batch).err();
        }
        self.batch.clear();
        self.batch_bytes = 0;
        match self.failure {
            None => {
                self.accepted += count;
                Ok(())
            }
            Some(failure) => {
                self.refused += count;
                Err(failure)
            }
        }
    }

    /// Findings that the platform took.
    pub fn accepted(&self) -> u32 {
        self.accepted
    }

    /// Findings that the platform refused.
    pub fn refused(&self) -> u32 {
        self.refused
    }
}

impl Drop for Emitter<'_> {
    fn drop(&mut self) {
        // A refusal was answered to `emit` or `flush`, or the whole run is over.
        let _ = self.flush();
    }
}

fn text_bytes(finding: &Finding) -> usize {
    let extra: usize = finding
        .extra
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let snippets: usize = finding
        .locations
        .iter()
        .map(|location| match location {
            crate::model::Location::File(file) => {
                file.path.len() + file.snippet.as_ref().map_or(0, String::len)
            }
            crate::model::Location::Url(url) => url.url.len() + url.evidence.as_ref().map_or(0, String::len),
            _ => 0,
        })
        .sum();
    finding.message.len() + finding.remediation.as_ref().map_or(0, String::len) + extra + snippets
}

#[cfg(test)]
mod tests {
    use super::Emitter;
    use crate::limits::BATCH_FINDINGS;
    use crate::memory::MemoryHost;
    use crate::model::{Finding, FindingBuilder, IoError};

    fn finding(number: usize) -> Finding {
        FindingBuilder::new("demo", &format!("rule-{number}")).build().0
    }

    #[test]
    fn findings_leave_in_batches_and_the_rest_on_drop() {
        let mut host = MemoryHost::default();
        let mut emitter = Emitter::new(&mut host);
        for number in 0..BATCH_FINDINGS + 3 {
            emitter.emit(finding(number)).expect("no limit is set");
        }
        drop(emitter);
        assert_eq!(host.findings.len(), BATCH_FINDINGS + 3);
        assert_eq!(host.batches, 2);
    }

    #[test]
    fn a_large_text_leaves_early() {
        let mut host = MemoryHost::default();
        let mut emitter = Emitter::new(&mut host);
        for number in 0..20 {
            let large = FindingBuilder::new("demo", &number.to_string())
                .message(&"x".repeat(64 * 1024))
                .build()
                .0;
            emitter.emit(large).expect("no limit is set");
        }
        drop(emitter);
        assert_eq!((host.findings.len(), host.batches), (20, 3));
    }

    #[test]
    fn a_refused_batch_ends_the_emitting_and_is_counted() {
        let mut host = MemoryHost {
            findings_max: Some(BATCH_FINDINGS),
            ..MemoryHost::default()
        };
        let mut emitter = Emitter::new(&mut host);
        let answers: Vec<_> = (0..BATCH_FINDINGS * 2)
            .map(|number| emitter.emit(finding(number)))
            .collect();
        assert_eq!(answers.last(), Some(&Err(IoError::OverLimit)));
        assert_eq!(
            (emitter.accepted() as usize, emitter.refused() as usize),
            (BATCH_FINDINGS, BATCH_FINDINGS)
        );
        assert!(emitter.emit(finding(0)).is_ok(), "the batch is not full yet");
        assert_eq!(emitter.flush(), Err(IoError::OverLimit));
    }
}
