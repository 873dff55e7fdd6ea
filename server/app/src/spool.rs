//! Findings on their way from the plugin to the database: a scratch file of one JSON line each.
//!
//! It keeps memory flat whatever the report's size, and lets the one transaction that stores them
//! begin only when the plugin is done.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamiz_core::fingerprint::Fingerprint;
use tamiz_core::{Finding, FindingId};
use tamiz_store::finding::StoredFinding;

const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Serialize)]
struct LineOut<'a> {
    id: FindingId,
    fingerprint: String,
    finding: &'a Finding,
}

#[derive(Deserialize)]
struct LineIn {
    id: FindingId,
    fingerprint: String,
    finding: Finding,
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

    /// Appends one finding and gives it its id.
    ///
    /// # Errors
    /// What the file system says.
    pub fn push(&mut self, finding: &Finding, fingerprint: &Fingerprint) -> io::Result<()> {
        let line = LineOut {
            id: FindingId::fresh(),
            fingerprint: hex::encode(fingerprint.0),
            finding,
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

/// The findings of a spool in batches of at most `batch` rows.
///
/// # Errors
/// When the file cannot be opened; each batch may fail as well.
pub fn read(
    path: &Path,
    batch: usize,
) -> io::Result<impl Iterator<Item = io::Result<Vec<StoredFinding>>> + use<>> {
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?).lines();
    Ok(std::iter::from_fn(move || {
        let rows: io::Result<Vec<_>> = lines
            .by_ref()
            .take(batch)
            .map(|line| line.and_then(|line| parse(&line)))
            .collect();
        match rows {
            Ok(rows) if rows.is_empty() => None,
            rows => Some(rows),
        }
    }))
}

fn parse(line: &str) -> io::Result<StoredFinding> {
    let line: LineIn = serde_json::from_str(line)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(&line.fingerprint, &mut hash).map_err(io::Error::other)?;
    Ok(StoredFinding {
        id: line.id,
        fingerprint: Fingerprint(hash),
        finding: line.finding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamiz_core::fingerprint::Occurrences;

    #[test]
    fn findings_come_back_in_order_and_in_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let finding: Finding = serde_json::from_value(serde_json::json!({
            "tool": "t", "rule_id": "r", "rule_name": null, "title": "a\nb", "message": "m",
            "severity": "high", "severity_raw": null, "confidence": "low", "category": null,
            "locations": [], "cwe": [89], "cve": [], "cvss_vector": null, "references": [], "tags": [],
            "remediation": null, "tool_fingerprint": null, "origin": null, "extra": {"k": [1, "x"]}
        }))
        .unwrap();
        let mut occurrences = Occurrences::default();
        let mut writer = SpoolWriter::create(&path).unwrap();
        for _ in 0..5 {
            writer.push(&finding, &occurrences.fingerprint(&finding)).unwrap();
        }
        writer.finish().unwrap();
        let batches: Vec<_> = read(&path, 2).unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(batches.iter().flatten().all(|stored| stored.finding == finding));
        assert!(batches[0][0].id < batches[2][0].id);
    }
}
