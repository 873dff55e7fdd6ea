//! What tells a finding from others by content alone, kind by kind.

use super::{Lines, PartHash, normal, part_hash};
use crate::finding::Finding;
use crate::location::{Endpoint, Location};
use crate::words::words;

words! {
    /// What an identity is made of.
    Kind {
        /// Rule, path, code with its context, and a number among equals.
        Code = "code",
        /// Rule and keyed hash of the value.
        Secret = "secret",
        /// Package without version, and advisory.
        Package = "package",
        /// Rule, method, host, path template, parameter.
        Web = "web",
        /// Check, host and port.
        Endpoint = "endpoint",
        /// Kind and value of a name.
        Name = "name",
        /// Rule and conversation without the ephemeral port.
        Flow = "flow",
        /// The tool names no place.
        Plain = "plain",
    } known "code, secret, package, web, endpoint, name, flow, plain"
}

/// What a finding's identity is made of, apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Which rules apply.
    pub kind: Kind,
    /// The producing tool.
    pub tool: String,
    /// Its rule.
    pub rule: String,
    /// The normalised target: a path, `GET shop.test/users/{id} name`, `shop.test:443`, `pkg:npm/st`.
    pub target: String,
    /// What else the kind needs: the code in its context, a secret's keyed hash, an advisory.
    pub detail: Option<PartHash>,
    /// The place's own code; none unless it is known.
    pub code: Option<PartHash>,
    /// The lines that both are made of.
    pub lines: Option<Lines>,
    /// The tool's own id.
    pub tool_id: Option<PartHash>,
    /// The primary place's line, from 1; 0 where there is none. Not part of any hash.
    pub line: u32,
}

impl Parts {
    /// Of a finding; `source` are its lines in the scanned source, where there is one.
    pub fn of(finding: &Finding, source: Option<Lines>) -> Self {
        let (kind, target) = kind_and_target(finding);
        let place = finding.locations.first();
        let lines = match place {
            Some(Location::File { snippet, .. }) if kind == Kind::Code => {
                source.or_else(|| snippet.as_deref().and_then(Lines::of_snippet))
            }
            _ => None,
        };
        let detail = match kind {
            Kind::Code => lines.as_ref().map(Lines::in_context),
            Kind::Secret => finding.tool_fingerprint.as_deref().map(|hash| part_hash([hash])),
            Kind::Package => Some(part_hash([advisory(finding)])),
            Kind::Plain => text(finding, "logical-location").map(|place| part_hash([place])),
            Kind::Web | Kind::Endpoint | Kind::Name | Kind::Flow => None,
        };
        Self {
            kind,
            tool: finding.tool.clone(),
            rule: finding.rule_id.clone(),
            target,
            detail,
            code: lines.as_ref().map(Lines::code),
            lines,
            tool_id: finding.tool_fingerprint.as_deref().map(|id| part_hash([id])),
            line: line_and_column(finding).0,
        }
    }
}

impl Kind {
    /// Whether several findings of one report that are alike are several flaws; of the other kinds they are places of
    /// one.
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Code | Self::Plain)
    }
}

/// Of one identity, what tells its places apart, hashed: the files with one secret, the URLs of one template. Zero where
/// an identity has one place.
pub fn place(kind: Kind, finding: &Finding) -> PartHash {
    let text = match (kind, finding.locations.first()) {
        (Kind::Secret | Kind::Package, Some(Location::File { path, .. })) => normal::path(path),
        (Kind::Secret | Kind::Package, Some(place)) => place.label(),
        (Kind::Web, Some(Location::Url { url, .. })) => normal::before_query(url).to_owned(),
        _ => return [0; 16],
    };
    part_hash([text.as_str()])
}

/// Line and column of the primary place in a file, from 1; 0 where there is none. By them equals are ordered.
pub fn line_and_column(finding: &Finding) -> (u32, u32) {
    match finding.locations.first() {
        Some(Location::File { start: Some(at), .. }) => (at.line, at.column.unwrap_or(0)),
        _ => (0, 0),
    }
}

fn kind_and_target(finding: &Finding) -> (Kind, String) {
    let is_secret = finding.extra.contains_key("secret") && finding.tool_fingerprint.is_some();
    if is_secret {
        return (Kind::Secret, String::new());
    }
    if let Some(package) = package(finding) {
        return (Kind::Package, package);
    }
    match finding.locations.first() {
        None => (Kind::Plain, String::new()),
        Some(Location::File { path, .. }) => (Kind::Code, normal::path(path)),
        Some(Location::Url {
            url,
            method,
            parameter,
            ..
        }) => {
            let method = method.as_deref().unwrap_or_default().to_ascii_uppercase();
            let parameter = parameter.as_deref().unwrap_or_default();
            let target = format!("{method} {} {parameter}", normal::url_template(url));
            (Kind::Web, target)
        }
        Some(Location::Endpoint(at)) => (Kind::Endpoint, endpoint(at)),
        Some(Location::Domain { name, record_type }) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let record_type = record_type.as_deref().unwrap_or_default();
            (Kind::Name, format!("{record_type} {name}"))
        }
        Some(Location::Flow {
            source, destination, ..
        }) => {
            let from = source.host.to_ascii_lowercase();
            (Kind::Flow, format!("{from} > {}", endpoint(destination)))
        }
    }
}

fn endpoint(at: &Endpoint) -> String {
    normal::endpoint(&at.host, at.port)
}

/// The package that a finding is about, without its version.
pub(crate) fn package(finding: &Finding) -> Option<String> {
    if let Some(url) = text(finding, "package-url") {
        return Some(normal::package(url).to_owned());
    }
    let name = text(finding, "package").filter(|_| finding.category.as_deref() == Some("dependency"))?;
    let ecosystem = text(finding, "ecosystem").unwrap_or_default();
    Some(format!("{} {name}", ecosystem.to_lowercase()))
}

/// The advisory by the name that its aliases share most: its one CVE; where it has none or speaks of several, the
/// tool's rule.
fn advisory(finding: &Finding) -> &str {
    let is_cve = |id: &&String| {
        id.get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("CVE-"))
    };
    let mut cves = finding.cve.iter().filter(is_cve);
    match (cves.next(), cves.next()) {
        (Some(only), None) => only,
        _ => &finding.rule_id,
    }
}

fn text<'a>(finding: &'a Finding, key: &str) -> Option<&'a str> {
    let text = finding.extra.get(key)?.as_str()?;
    (!text.is_empty()).then_some(text)
}
