//! The content identity of a finding: what stays equal when lines move and messages are reworded.
//!
//! Version 1 hashes the tool, the rule, the kind of place, the normalised place and the normalised
//! snippet, each with its length in front so that no two field lists can collide (the length-prefix
//! rule of RFC 9162 §2 style hashing), with SHA-256. Line numbers and messages are left out. Findings of
//! one report that are alike in all this are told apart by a number in report order.
//!
//! A tool's own id is *not* an input: open-source semgrep writes one placeholder for all results.
//! Not here: matching over scans; it works on the stored parts. Records that are equal in everything are
//! one finding, which `occurrence` sees to before.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::finding::Finding;
use crate::location::{Endpoint, Location};

/// Stored beside every fingerprint, so that a better rule can run over old rows.
pub const VERSION: i16 = 1;

/// A SHA-256 over the identity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// Numbers the findings of one report that are alike, so that each has an identity of its own.
///
/// Memory: 36 bytes per distinct finding of the report.
#[derive(Debug, Default)]
pub struct Fingerprints {
    seen: HashMap<[u8; 32], u32>,
}

impl Fingerprints {
    /// The fingerprint of `finding`, given all that came before it in the report.
    pub fn next(&mut self, finding: &Finding) -> Fingerprint {
        let base = base(finding);
        let count = self.seen.entry(base).or_insert(0);
        let number = *count;
        *count += 1;
        let mut hash = Sha256::new();
        hash.update(base);
        hash.update(number.to_le_bytes());
        Fingerprint(hash.finalize().into())
    }
}

fn base(finding: &Finding) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(VERSION.to_le_bytes());
    field(&mut hash, &finding.tool);
    field(&mut hash, &finding.rule_id);
    match finding.locations.first() {
        None => {
            field(&mut hash, "none");
            field(&mut hash, &finding.title);
        }
        Some(location) => place(&mut hash, location),
    }
    hash.finalize().into()
}

fn place(hash: &mut Sha256, location: &Location) {
    field(hash, location.kind());
    match location {
        Location::File { path, snippet, .. } => {
            field(hash, &normal_path(path));
            field(hash, &squeezed(snippet.as_deref().unwrap_or_default()));
        }
        Location::Url {
            url,
            method,
            parameter,
            ..
        } => {
            field(hash, url.split(['?', '#']).next().unwrap_or_default());
            field(hash, method.as_deref().unwrap_or_default());
            field(hash, parameter.as_deref().unwrap_or_default());
        }
        Location::Endpoint(endpoint) => end(hash, endpoint),
        Location::Domain { name, record_type } => {
            field(hash, &name.to_ascii_lowercase());
            field(hash, record_type.as_deref().unwrap_or_default());
        }
        // the source port is ephemeral
        Location::Flow {
            source, destination, ..
        } => {
            field(hash, &source.host.to_ascii_lowercase());
            end(hash, destination);
        }
    }
}

fn end(hash: &mut Sha256, endpoint: &Endpoint) {
    field(hash, &endpoint.host.to_ascii_lowercase());
    hash.update(u32::from(endpoint.port.unwrap_or(0)).to_le_bytes());
}

fn field(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

/// `/` as separator, no `./` in front.
fn normal_path(path: &str) -> String {
    path.replace('\\', "/").trim_start_matches("./").to_owned()
}

/// White space folded, so that re-indented code stays itself.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::tests::plain;
    use crate::location::Position;

    fn at(path: &str, line: u32, snippet: &str) -> Finding {
        Finding {
            tool: "semgrep".into(),
            rule_id: "sql".into(),
            message: format!("line {line}"),
            locations: vec![Location::File {
                path: path.into(),
                start: Some(Position { line, column: None }),
                end: None,
                snippet: Some(snippet.into()),
            }],
            tool_fingerprint: Some("requires login".into()),
            ..plain()
        }
    }

    fn of(finding: &Finding) -> Fingerprint {
        Fingerprints::default().next(finding)
    }

    #[test]
    fn moved_lines_and_new_indentation_keep_the_identity() {
        assert_eq!(of(&at("a.py", 3, "x = 1")), of(&at("./a.py", 90, "    x  =  1")));
    }

    #[test]
    fn another_path_or_code_is_another_identity() {
        assert_ne!(of(&at("a.py", 3, "x = 1")), of(&at("b.py", 3, "x = 1")));
        assert_ne!(of(&at("a.py", 3, "x = 1")), of(&at("a.py", 3, "x = 2")));
    }

    #[test]
    fn field_borders_cannot_be_moved() {
        let mut left = at("a.py", 1, "x");
        let mut right = left.clone();
        left.tool = "ab".into();
        left.rule_id = "c".into();
        right.tool = "a".into();
        right.rule_id = "bc".into();
        assert_ne!(of(&left), of(&right));
    }

    #[test]
    fn findings_of_one_report_that_are_alike_are_numbered() {
        let mut fingerprints = Fingerprints::default();
        let first = fingerprints.next(&at("a.py", 1, "x"));
        let second = fingerprints.next(&at("a.py", 9, "x"));
        assert_ne!(first, second);
        assert_eq!(first, of(&at("a.py", 5, "x")));
    }
}
