//! The tools' words in the platform's: severities, confidences, CWE numbers, advisory ids, OWASP tags,
//! CVSS vectors.
//!
//! What a word of one tool means stands in that tool's [`SeverityTable`], which the plugin keeps beside
//! its format; a test compares the tables with `docs/severities.md`.

mod ids;
mod labels;
mod severity;

pub use ids::{advisories, cvss_vector, is_advisory};
pub use labels::{Label, confidence, cwe, cwes, label, owasp};
pub use severity::{SeverityTable, score_severity, severity_document};
