//! A VEX document of either format, read whole: it is bounded, and every list and text in it.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::VexStatement;
use super::{cyclonedx, openvex};
use crate::limits::{LABEL_BYTES_MAX, LIST_ITEMS_MAX, PLACE_BYTES_MAX, SNIPPET_BYTES_MAX};
use crate::text::{cut, printable};

/// A document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Statements of one document; vulnerabilities of a CycloneDX one.
const STATEMENTS_MAX: usize = 50_000;
/// Packages of one statement.
const PACKAGES_MAX: usize = 10_000;
/// Notes on what was left out; more are counted.
const NOTES_MAX: usize = 100;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// In the document's order.
    pub statements: Vec<VexStatement>,
    /// What could not be said of any package, with its place; the first hundred.
    pub left_out: Vec<String>,
    /// How much was left out in all.
    pub left_out_count: usize,
}

/// Why a document was not read.
#[derive(Debug, thiserror::Error)]
pub enum VexError {
    /// More than [`DOCUMENT_BYTES_MAX`].
    #[error("the document has {bytes} bytes, and at most {DOCUMENT_BYTES_MAX} are read")]
    TooLarge {
        /// What it has.
        bytes: usize,
    },
    /// It is no JSON, or something in it is of another type than the format has it; the line is in the source.
    #[error("the document is no VEX document")]
    Malformed(#[source] serde_json::Error),
    /// Neither of the two.
    #[error("the document is neither OpenVEX (no `@context`) nor CycloneDX (no `bomFormat`)")]
    Unknown,
    /// Something in it is not as the format has it.
    #[error("{place}: {problem}")]
    Invalid {
        /// Such as `statements[3].status`.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// All of both formats that is read; which one it is says what is there. In one struct, so that a fault keeps its line.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@context")]
    context: Option<serde::de::IgnoredAny>,
    timestamp: Option<String>,
    last_updated: Option<String>,
    #[serde(default)]
    statements: Vec<openvex::Statement>,
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    metadata: Option<cyclonedx::Metadata>,
    #[serde(default)]
    components: Vec<cyclonedx::Component>,
    #[serde(default)]
    vulnerabilities: Vec<cyclonedx::Vulnerability>,
}

/// Reads OpenVEX 0.0.1 to 0.2.0 or CycloneDX 1.4 to 1.7 with the statements it makes.
///
/// # Errors
/// [`VexError`], which names the place. What is well-formed and only says nothing about a package is left out and
/// noted.
pub fn read(bytes: &[u8]) -> Result<Imported, VexError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(VexError::TooLarge { bytes: bytes.len() });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(VexError::Malformed)?;
    let mut imported = Imported::default();
    match (document.context, document.bom_format.as_deref()) {
        (Some(_), _) => {
            let made_at = document.last_updated.or(document.timestamp);
            openvex::statements(document.statements, made_at, &mut imported)?;
        }
        (None, Some("CycloneDX")) => {
            let references = cyclonedx::References::of(document.metadata.as_ref(), &document.components);
            let made_at = document.metadata.and_then(|metadata| metadata.timestamp);
            cyclonedx::statements(document.vulnerabilities, made_at, &references, &mut imported)?;
        }
        (None, _) => return Err(VexError::Unknown),
    }
    Ok(imported)
}

impl Imported {
    /// Notes what is left out, or counts it.
    pub(super) fn leave_out(&mut self, place: &str, why: &str) {
        self.left_out_count += 1;
        if self.left_out.len() < NOTES_MAX {
            self.left_out.push(format!("{place}: {why}"));
        }
    }
}

pub(super) fn invalid(place: &str, problem: impl Into<String>) -> VexError {
    VexError::Invalid {
        place: place.to_owned(),
        problem: problem.into(),
    }
}

/// How many there may be of the document's statements.
pub(super) fn count(place: &str, count: usize) -> Result<(), VexError> {
    at_most(place, count, STATEMENTS_MAX)
}

/// How many there may be of a statement's packages.
pub(super) fn count_packages(place: &str, count: usize) -> Result<(), VexError> {
    at_most(place, count, PACKAGES_MAX)
}

fn at_most(place: &str, count: usize, max: usize) -> Result<(), VexError> {
    if count > max {
        return Err(invalid(
            place,
            format!("{count} entries, and at most {max} are read"),
        ));
    }
    Ok(())
}

/// The names of an advisory: the first one must be there.
pub(super) fn ids(place: &str, name: &str, others: &[String]) -> Result<Vec<String>, VexError> {
    if name.trim().is_empty() {
        return Err(invalid(place, "no advisory is named"));
    }
    let mut ids: Vec<String> = Vec::new();
    for id in [name].into_iter().chain(others.iter().map(String::as_str)) {
        let id = id.trim();
        if id.len() > LABEL_BYTES_MAX {
            return Err(invalid(
                place,
                format!("an id has more than {LABEL_BYTES_MAX} bytes"),
            ));
        }
        if !id.is_empty() && !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    ids.truncate(LIST_ITEMS_MAX);
    Ok(ids)
}

/// A package URL or another identifier of something.
pub(super) fn identifier(place: &str, text: &str) -> Result<String, VexError> {
    if text.len() > PLACE_BYTES_MAX {
        return Err(invalid(
            place,
            format!("it has more than {PLACE_BYTES_MAX} bytes"),
        ));
    }
    Ok(text.trim().to_owned())
}

/// Somebody's words, cut at a limit; none when there are none.
pub(super) fn words(text: Option<String>) -> Option<String> {
    let text = text?;
    let text = printable(cut(text.trim(), SNIPPET_BYTES_MAX)).into_owned();
    (!text.is_empty()).then_some(text)
}

/// The first time that is given.
pub(super) fn moment(place: &str, times: &[&Option<String>]) -> Result<Option<DateTime<Utc>>, VexError> {
    let Some(text) = times.iter().find_map(|time| time.as_deref()) else {
        return Ok(None);
    };
    let parsed = DateTime::parse_from_rfc3339(text);
    let problem = |_| {
        invalid(
            place,
            format!("`{}` is no time as RFC 3339 has it", cut(text, 100)),
        )
    };
    Ok(Some(parsed.map_err(problem)?.to_utc()))
}
