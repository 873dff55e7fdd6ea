//! Findings on their way from the plugin to the database: a scratch file of one line each.
//!
//! It keeps memory flat whatever the report's size, and lets the one transaction that stores them
//! begin only when the plugin is done. A line is the JSON of what it is; a finding's own JSON stands behind
//! a tab, which JSON writes as an escape, as it was written when it was compared.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamiz_core::{Finding, FindingId, Location, Span};
use tamiz_store::finding::NewOccurrence;

pub(crate) mod judge;
mod mark;

pub use mark::Mark;

const BUFFER_BYTES: usize = 256 * 1024;
/// Between what a line is and the finding.
const TAB: u8 = b'\t';

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The finding's JSON follows.
    Finding {
        id: FindingId,
        mark: Mark,
        cvss_score: Option<f64>,
    },
    /// A record that says what that finding says; its line is further up.
    Occurrence {
        of: FindingId,
        ordinal: u32,
        locations: Vec<Location>,
        origin: Option<Span>,
    },
}

/// Writes a spool.
#[derive(Debug)]
pub struct SpoolWriter {
    file: BufWriter<File>,
}

impl SpoolWriter {
    /// Makes the file; it must not exist.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, File::create_new(path)?),
        })
    }

    /// Appends one finding; `said` is its JSON, from [`tamiz_core::occurrence::Records::said`].
    ///
    /// # Errors
    /// What the file system says.
    pub fn finding(
        &mut self,
        id: FindingId,
        mark: Mark,
        cvss_score: Option<f64>,
        said: &[u8],
    ) -> io::Result<()> {
        let line = Line::Finding { id, mark, cvss_score };
        serde_json::to_writer(&mut self.file, &line)?;
        self.file.write_all(&[TAB])?;
        self.file.write_all(said)?;
        self.file.write_all(b"\n")
    }

    /// Appends one occurrence of a finding that was appended before.
    ///
    /// # Errors
    /// What the file system says.
    pub fn occurrence(&mut self, occurrence: NewOccurrence) -> io::Result<()> {
        let line = Line::Occurrence {
            of: occurrence.of,
            ordinal: occurrence.ordinal,
            locations: occurrence.locations,
            origin: occurrence.origin,
        };
        serde_json::to_writer(&mut self.file, &line)?;
        self.file.write_all(b"\n")
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A finding of a spool.
#[derive(Debug)]
pub struct Spooled {
    /// Its id.
    pub id: FindingId,
    /// What it is known by.
    pub mark: Mark,
    /// What its CVSS vector comes to.
    pub cvss_score: Option<f64>,
    said: Vec<u8>,
}

impl Spooled {
    /// The finding, read from its text.
    ///
    /// # Errors
    /// When the text is none.
    pub fn finding(&self) -> io::Result<Finding> {
        Ok(serde_json::from_slice(&self.said)?)
    }
}

/// Some lines of a spool. An occurrence's finding is in the same batch or an earlier one.
#[derive(Debug, Default)]
pub struct Batch {
    /// To be stored first.
    pub findings: Vec<Spooled>,
    /// To be stored second.
    pub occurrences: Vec<NewOccurrence>,
}

/// A spool in batches of at most `batch` lines.
///
/// # Errors
/// When the file cannot be opened; each batch may fail as well.
pub fn read(path: &Path, batch: usize) -> io::Result<impl Iterator<Item = io::Result<Batch>> + use<>> {
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?).split(b'\n');
    Ok(std::iter::from_fn(move || {
        let mut rows = Batch::default();
        for line in lines.by_ref().take(batch) {
            if let Err(error) = line.and_then(|line| rows.add(line)) {
                return Some(Err(error));
            }
        }
        let is_end = rows.findings.is_empty() && rows.occurrences.is_empty();
        (!is_end).then_some(Ok(rows))
    }))
}

impl Batch {
    fn add(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        let said = match line.iter().position(|byte| *byte == TAB) {
            Some(tab) => {
                let said = line.split_off(tab + 1);
                line.pop();
                said
            }
            None => Vec::new(),
        };
        match serde_json::from_slice(&line)? {
            Line::Finding { id, mark, cvss_score } => self.findings.push(Spooled {
                id,
                mark,
                cvss_score,
                said,
            }),
            Line::Occurrence {
                of,
                ordinal,
                locations,
                origin,
            } => self.occurrences.push(NewOccurrence {
                of,
                ordinal,
                locations,
                origin,
            }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamiz_core::occurrence::content_hash;

    #[test]
    fn findings_and_occurrences_come_back_in_order_and_in_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let finding: Finding = serde_json::from_value(serde_json::json!({
            "tool": "t", "rule_id": "r", "rule_name": null, "title": "a\nb\tc", "message": "m",
            "severity": "high", "severity_raw": null, "confidence": "low", "category": null,
            "locations": [{"kind": "file", "path": "a\tb"}], "cwe": [89], "cve": [], "cvss_vector": "v",
            "references": [], "tags": [], "remediation": null, "tool_fingerprint": null, "origin": null,
            "extra": {"k": [1, "x"]}
        }))
        .unwrap();
        let said = serde_json::to_vec(&finding).unwrap();
        let mut writer = SpoolWriter::create(&path).unwrap();
        let mut occurrences = Vec::new();
        for ordinal in 1..=5 {
            let id = FindingId::fresh();
            writer
                .finding(
                    id,
                    Mark::of(&finding, content_hash(&said), None),
                    Some(9.8),
                    &said,
                )
                .unwrap();
            let again = NewOccurrence {
                of: id,
                ordinal,
                locations: finding.locations.clone(),
                origin: Some(Span {
                    input: 0,
                    offset: 7,
                    length: 9,
                }),
            };
            writer.occurrence(again.clone()).unwrap();
            occurrences.push(again);
        }
        writer.finish().unwrap();
        let batches: Vec<_> = read(&path, 4).unwrap().map(Result::unwrap).collect();
        let lengths = |batch: &Batch| (batch.findings.len(), batch.occurrences.len());
        assert_eq!(
            batches.iter().map(lengths).collect::<Vec<_>>(),
            [(2, 2), (2, 2), (1, 1)]
        );
        for stored in batches.iter().flat_map(|batch| &batch.findings) {
            assert_eq!(
                (&stored.finding().unwrap(), stored.cvss_score),
                (&finding, Some(9.8))
            );
        }
        let read: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.occurrences.clone())
            .collect();
        assert_eq!(read, occurrences);
        assert!(batches[0].findings[0].id < batches[2].findings[0].id);
    }
}
