//! What is known of advisories from elsewhere: how likely they are exploited (EPSS of FIRST), and which ones are
//! (KEV, CISA's catalogue of known exploited vulnerabilities).
//!
//! Readers of the public files, row by row. A row that is wrong is told and left out, up to [`FAULTS_MAX`]; a file that
//! is something else is an error. Columns and fields that are not known are left aside.
//!
//! Not here: decompression and files (the caller opens them), how long what was read is kept, and joining it with
//! findings through [`crate::aliases`].

pub mod epss;
pub mod kev;
mod rows;

use std::fmt;
use std::io;

pub use epss::{EpssHead, EpssScore, EpssScores};
pub use kev::{Kev, KevCatalogue, KevHead};

use crate::advisory::{Advisory, Family};
use crate::text::cut;

/// Wrong rows of one file that are told and left out; with more the file is not what it seems to be.
pub const FAULTS_MAX: usize = 100;
/// What a fault quotes, in bytes.
const QUOTE_BYTES_MAX: usize = 60;

/// The place of a row in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPlace {
    /// A line of a text, from 1.
    Line(u64),
    /// An element of a list, from 1.
    Entry(u64),
}

impl fmt::Display for RowPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(formatter, "line {number}"),
            Self::Entry(number) => write!(formatter, "entry {number}"),
        }
    }
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Where it stood.
    pub at: RowPlace,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for RowFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.at, self.what)
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnrichmentError {
    /// The source of bytes failed.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// Nothing but comments.
    #[error("the file has no rows")]
    Empty,
    /// The first row is not the head of such a file.
    #[error("{at} names no column `{column}`")]
    NoColumn {
        /// Of the head.
        at: RowPlace,
        /// The first that is missing.
        column: &'static str,
    },
    /// A comment or a head that says something unreadable.
    #[error("{0}")]
    Head(RowFault),
    /// No JSON, or none of this form.
    #[error("the file is not a catalogue in JSON")]
    Json(#[source] serde_json::Error),
    /// More than [`FAULTS_MAX`] rows are wrong.
    #[error("more than {FAULTS_MAX} rows are wrong, as in {last}")]
    TooManyFaults {
        /// One of them.
        last: RowFault,
    },
    /// More rows than such a file can have.
    #[error("the file has more than {limit} rows")]
    TooManyRows {
        /// As many are read.
        limit: u64,
    },
    /// More bytes than such a file can have.
    #[error("the file has more than {limit} bytes")]
    TooLarge {
        /// As many are read.
        limit: u64,
    },
}

/// A file that can be read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// EPSS scores of one day, as CSV.
    Epss,
    /// The KEV catalogue as CSV.
    KevCsv,
    /// The KEV catalogue as JSON.
    KevJson,
}

impl FileKind {
    /// By the beginning of a file, decompressed; a few hundred bytes are enough.
    pub fn of(start: &[u8]) -> Option<Self> {
        let start = start.strip_prefix(rows::BYTE_ORDER_MARK).unwrap_or(start);
        let start = String::from_utf8_lossy(start).to_ascii_lowercase();
        let start = start.trim_start();
        if start.starts_with('{') {
            return Some(Self::KevJson);
        }
        let head = start.lines().find(|line| !line.starts_with('#'));
        let has = |column: &str| {
            let mut columns = head.unwrap_or_default().split(',');
            columns.any(|one| one.trim_matches(['"', ' ', '\r']) == column)
        };
        if start.starts_with("#model_version") || has("epss") {
            Some(Self::Epss)
        } else {
            has("cveid").then_some(Self::KevCsv)
        }
    }
}

/// The faults of one file.
#[derive(Debug, Default)]
struct Faults(Vec<RowFault>);

impl Faults {
    fn push(&mut self, fault: RowFault) -> Result<(), EnrichmentError> {
        if self.0.len() == FAULTS_MAX {
            return Err(EnrichmentError::TooManyFaults { last: fault });
        }
        self.0.push(fault);
        Ok(())
    }
}

/// A CVE in its one spelling.
fn cve(text: &str) -> Result<Advisory, String> {
    Advisory::parse(text)
        .filter(|id| id.family() == Family::Cve)
        .ok_or_else(|| format!("`{}` is no CVE", quote(text)))
}

fn quote(text: &str) -> &str {
    cut(text, QUOTE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_beginning() {
        for (start, kind) in [
            (
                "#model_version:v2025.03.14,score_date:2025-0",
                Some(FileKind::Epss),
            ),
            ("cve,epss,percentile\nCVE-", Some(FileKind::Epss)),
            ("\u{feff}\"cveID\",\"vendorProject\"\r\n", Some(FileKind::KevCsv)),
            ("cveID,vendorProject,product\n", Some(FileKind::KevCsv)),
            (" \n{\"title\": \"CISA Catalog", Some(FileKind::KevJson)),
            ("cve,score\n", None),
            ("", None),
            ("\u{1f}\u{8b}", None),
        ] {
            assert_eq!(FileKind::of(start.as_bytes()), kind, "{start}");
        }
    }

    #[test]
    fn a_fault_tells_where_and_what() {
        let fault = RowFault {
            at: RowPlace::Line(7),
            what: cve("GHSA-jfh8-c2jp-5v3q").unwrap_err(),
        };
        assert_eq!(fault.to_string(), "line 7: `GHSA-jfh8-c2jp-5v3q` is no CVE");
        let mut faults = Faults::default();
        for _ in 0..FAULTS_MAX {
            faults.push(fault.clone()).unwrap();
        }
        let error = faults.push(fault).unwrap_err().to_string();
        assert!(
            error.starts_with("more than 100 rows are wrong, as in line 7"),
            "{error}"
        );
    }
}
