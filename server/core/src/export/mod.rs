//! Alerts on their way out: SARIF, OCSF, VEX and CSV; and VEX on its way in.
//!
//! Every format is a [`Writer`]: the caller hands it one alert after another and takes the bytes away between them,
//! so that memory is bounded whatever their number. Order the alerts by tool, then by rule: a SARIF run is of one
//! tool. Some formats have limits on one file; where a file is full, the writer says so before the next alert.
//!
//! Not here: where alerts come from and where the bytes go. Nothing reads or writes files or sockets.

pub mod csv;
pub mod cyclonedx;
pub mod ocsf;
pub mod openvex;
mod package;
mod place;
#[cfg(test)]
mod samples;
pub mod sarif;
pub mod vex;

pub use package::{Package, advisories};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::alert::{AlertState, Dismissal};
use crate::finding::Finding;
use crate::identity::Fingerprint;
use crate::location::Location;
use crate::severity::Severity;
use crate::task::ScanType;
use crate::words::words;

words! {
    /// What an alert is to a task that others are compared with.
    Baseline {
        /// It was not there then.
        New = "new",
        /// It was there, the same.
        Unchanged = "unchanged",
        /// It was there, and says something else now.
        Updated = "updated",
        /// It was there then, and is gone.
        Absent = "absent",
    } known "new, unchanged, updated, absent"
}

words! {
    /// What alerts can be written as.
    Format {
        /// SARIF 2.1.0 within the limits of GitHub.
        Sarif = "sarif",
        /// OCSF findings, one JSON object a line.
        Ocsf = "ocsf",
        /// OpenVEX 0.2.0; only alerts about packages.
        OpenVex = "openvex",
        /// A CycloneDX 1.6 document of vulnerabilities; only alerts about packages.
        CycloneDx = "cyclonedx",
        /// One row an alert.
        Csv = "csv",
    } known "sarif, ocsf, openvex, cyclonedx, csv"
}

/// One alert on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The alert's own.
    pub id: Uuid,
    /// How it was last seen.
    pub finding: Finding,
    /// Where else it is, beside the finding's own places.
    pub places: Vec<Location>,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// By which rules the identity was made.
    pub fingerprint_version: i16,
    /// Where it stands.
    pub state: AlertState,
    /// The decision not to act, if there is one.
    pub dismissal: Option<Dismissal>,
    /// What people work with: the tool's, or what somebody put in its place.
    pub severity: Severity,
    /// 0.0 to 10.0.
    pub cvss_score: Option<f64>,
    /// When a scan had it first.
    pub first_seen: DateTime<Utc>,
    /// When a scan had it last.
    pub last_seen: DateTime<Utc>,
    /// Compared with a task; none where nothing is compared.
    pub baseline: Option<Baseline>,
    /// Of the scan that had it last.
    pub scan_type: ScanType,
    /// Of the tool, where it is known.
    pub tool_version: Option<String>,
}

/// What is said once, of all alerts of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The document's own id.
    pub id: Uuid,
    /// The project's name: what SARIF's categories begin with, and a product's name.
    pub project: String,
    /// What VEX statements are about: an IRI, best the package URL of what the project makes. None: one that is made
    /// of the project's name.
    pub product: Option<String>,
    /// The author of VEX statements.
    pub author: String,
    /// Which run of the export it is, in SARIF's `automationDetails`: a task's id, a day.
    pub run: String,
    /// Now.
    pub made_at: DateTime<Utc>,
    /// Of Tamiz.
    pub version: String,
}

/// A format's text, piece by piece. Between two calls the caller may take all bytes out of `out`.
///
/// ```text
/// begin, (next_file_before? end, begin) alert, …, end
/// ```
pub trait Writer {
    /// The beginning of a file.
    fn begin(&mut self, out: &mut Vec<u8>);

    /// Whether the open file has no room for this alert: then [`Writer::end`] it, open another one, and
    /// [`Writer::begin`] that.
    fn next_file_before(&self, alert: &Exported) -> bool {
        let _ = alert;
        false
    }

    /// One alert. Whether it has a place in this format: VEX has none for code.
    fn alert(&mut self, alert: &Exported, out: &mut Vec<u8>) -> bool;

    /// The end of a file.
    fn end(&mut self, out: &mut Vec<u8>);
}

impl Format {
    /// What writes it.
    pub fn writer(self, head: Head) -> Box<dyn Writer + Send> {
        match self {
            Self::Sarif => Box::new(sarif::Sarif::new(head, sarif::Limits::GITHUB)),
            Self::Ocsf => Box::new(ocsf::Ocsf::new(head)),
            Self::OpenVex => Box::new(openvex::OpenVex::new(head)),
            Self::CycloneDx => Box::new(cyclonedx::CycloneDx::new(head)),
            Self::Csv => Box::new(csv::Csv),
        }
    }

    /// For `Content-Type`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Sarif => "application/sarif+json",
            Self::Ocsf => "application/x-ndjson",
            Self::OpenVex => "application/json",
            Self::CycloneDx => "application/vnd.cyclonedx+json; version=1.6",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What file names end with, without a dot in front.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Sarif => "sarif",
            Self::Ocsf => "ocsf.jsonl",
            Self::OpenVex => "openvex.json",
            Self::CycloneDx => "cdx.json",
            Self::Csv => "csv",
        }
    }
}

impl Exported {
    /// Its places, each once: the finding's own, then where else it is.
    fn all_places(&self) -> impl Iterator<Item = &Location> {
        let own = &self.finding.locations;
        let further = self.places.iter().filter(|place| !own.contains(place));
        own.iter().chain(further)
    }

    /// When it came to stand where it stands.
    fn since(&self) -> DateTime<Utc> {
        let dismissal = self.dismissal.as_ref();
        let dismissal = dismissal.filter(|_| self.state == AlertState::Dismissed);
        dismissal.map_or(self.last_seen, |dismissal| dismissal.at)
    }

    /// The message, or the title where there is none; never empty.
    fn says(&self) -> &str {
        [&self.finding.message, &self.finding.title, &self.finding.rule_id]
            .into_iter()
            .find(|text| !text.trim().is_empty())
            .map_or("no message", String::as_str)
    }
}

/// UTC in seconds, as all these formats read it.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Sets a field, unless it says nothing: null, an empty text, list or object.
fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let says_nothing = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if !says_nothing {
        object[key] = value;
    }
}

/// Appends a value's JSON text.
fn write(out: &mut Vec<u8>, value: &Value) {
    out.extend_from_slice(value.to_string().as_bytes());
}
