//! `npm audit --json` of npm 7 and later (`auditReportVersion` 2): `{"vulnerabilities": {PACKAGE: {"via": […],
//! "nodes": […]}}, "metadata"}`.
//!
//! Each advisory in a package's `via` is a record. A package that is only affected through others has
//! their names there, and is one record, too. What it prints when the audit failed (`{"error": {"summary",
//! "detail"}}`, of any version) is a report of nothing. Not here: npm 6, see [`super::npm_audit_six`].

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Text, Texts, Whole};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::LIST_ENTRIES;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, members, small_object, small_text, span_since,
};
use tamiz_sdk::vocabulary::{SeverityTable, advisories as advisories_in, cvss_vector, cwes};

use super::package::Package as Dependency;
use super::place::{self, Region};
use super::{walk, wrong};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "npm audit",
    words: &[
        ("critical", Severity::Critical),
        ("high", Severity::High),
        ("moderate", Severity::Medium),
        ("medium", Severity::Medium),
        ("low", Severity::Low),
        ("info", Severity::Info),
    ],
};

/// `true` and `false`.
const WORD_BYTES: usize = 8;

/// What a package is filed under that is affected through others.
const THROUGH_OTHERS: &str = "vulnerable-dependency";

pub(super) struct NpmAudit;

#[derive(Default)]
struct Package {
    severity: Option<String>,
    range: String,
    nodes: Vec<String>,
    fix: String,
    /// The version of this very package that is to be taken.
    fixed: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Advisory<'a> {
    source: Whole,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    cwe: Texts<'a>,
    #[serde(borrow)]
    cvss: Field<Object<Score<'a>>>,
    #[serde(borrow)]
    range: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Score<'a> {
    #[serde(borrow)]
    pub(super) vector_string: Text<'a>,
}

impl Format for NpmAudit {
    fn name(&self) -> &'static str {
        "npm-audit-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["npm audit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let record = [
            "vulnerabilities.*.via",
            "vulnerabilities.*.nodes",
            "vulnerabilities.*.fixAvailable",
        ];
        let named = head.has_all(&["auditReportVersion", "vulnerabilities"]);
        let refused = head.has_all(&["message", "method", "uri", "statusCode"]);
        let failed = head.has_all(&["error.summary", "error.detail"]) || refused;
        (named || failed || head.count(&record) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("npm audit", None);
        // The refusal of the registry and the error that npm makes of it are two objects.
        walk::objects_in_a_row(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("vulnerabilities", Kind::Object) => members(reader, session, |reader, session, name, _| {
                    package(reader, session, name)?;
                    Ok(true)
                })?,
                ("metadata", Kind::Object) => {
                    let counts = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                    // of version 2 by kind of dependency, with a total
                    let total = counts
                        .pointer("/dependencies/total")
                        .or(counts.get("totalDependencies"));
                    if total
                        .and_then(serde_json::Value::as_u64)
                        .is_some_and(|total| total > 0)
                    {
                        session.covered();
                    }
                }
                ("error", Kind::Object) => failure(reader, session)?,
                ("message", Kind::String) => {
                    let start = reader.offset();
                    let message = format!("the audit failed: {}", small_text(reader)?.unwrap_or_default());
                    session.gap("tool-failed", &message, Some(span_since(reader, start)));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

/// What npm says about its own failure.
fn failure(reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
    let start = reader.offset();
    let error = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
    let said = ["code", "summary", "detail"].map(|key| walk::text(&error, key));
    let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
    let said = if said.is_empty() {
        "no reason is given".to_owned()
    } else {
        said.join(": ")
    };
    let message = format!("the audit failed: {said}");
    session.gap("tool-failed", &message, Some(span_since(reader, start)));
    Ok(())
}

/// One package. Its `via` waits for the `nodes` behind it, or for the input's early end.
fn package(reader: &mut JsonReader<'_>, session: &mut Session<'_>, name: &str) -> Result<(), Stop> {
    let package_name = name;
    let start = reader.offset();
    let place = format!("vulnerabilities[{name:?}]");
    if reader.kind()? != Kind::Object {
        let span = reader.skip()?;
        let message = format!("{place} could not be read: it is not an object");
        session.lose("record-unreadable", &message, span);
        return Ok(());
    }
    let mut package = Package::default();
    let mut via = Vec::new();
    let end = members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            ("severity", _) => package.severity = small_text(reader)?,
            ("range", _) => package.range = small_text(reader)?.unwrap_or_default(),
            ("via", Kind::Array) => walk::keep(reader, session, &format!("{place}.via"), &mut via)?,
            ("nodes", Kind::Array) => package.nodes(reader)?,
            ("fixAvailable", Kind::Word) => {
                let is_available = reader.value(WORD_BYTES)?;
                if matches!(is_available, Located::Whole { bytes: b"true", .. }) {
                    "An update within the allowed ranges is available: `npm audit fix`."
                        .clone_into(&mut package.fix);
                }
            }
            ("fixAvailable", Kind::Object) => {
                let fix = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                let (name, version) = (walk::text(&fix, "name"), walk::text(&fix, "version"));
                let is_major = fix.get("isSemVerMajor") == Some(&serde_json::Value::Bool(true));
                let warning = if is_major { " This is a major change." } else { "" };
                package.fix = format!("Update {name} to {version}.{warning}");
                package.fixed = if package_name == name {
                    version.to_owned()
                } else {
                    String::new()
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    });
    let elements: Vec<_> = via.iter().map(walk::Kept::element).collect();
    let names: Vec<String> = elements
        .iter()
        .filter_map(|element| serde_json::from_slice(element.bytes()).ok())
        .collect();
    let is_direct = names.len() < elements.len();
    if !is_direct && end.is_ok() {
        let whole = Element::named(&place, b"", span_since(reader, start));
        let raw = package.severity.as_deref();
        let severity = session.severity(&SEVERITIES, raw, &whole);
        let message = format!("depends on vulnerable versions of {}", names.join(", "));
        let finding = FindingBuilder::new("npm audit", THROUGH_OTHERS)
            .title(&format!("{name} {message}"))
            .message(&message)
            .severity(severity, raw);
        let finding = package.put(finding, session, &whole, name);
        session.emit(finding, &whole)?;
    }
    for element in elements
        .iter()
        .filter(|element| !element.bytes().starts_with(b"\""))
    {
        advisory(session, element, &package, name)?;
    }
    end
}

fn advisory(
    session: &mut Session<'_>,
    element: &Element<'_>,
    package: &Package,
    name: &str,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Advisory<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(found; title, url, severity, cwe, cvss, range));
    let (url, title) = (found.url.text(), found.title.text());
    let id = advisories_in(url).next();
    let rule = id
        .or(url.rsplit('/').next())
        .filter(|id| !id.is_empty())
        .unwrap_or(title);
    if rule.is_empty() {
        session.lose_record("record-without-rule", element, "has neither `url` nor `title`");
        return Ok(());
    }
    let raw = found
        .severity
        .get()
        .map(AsRef::as_ref)
        .or(package.severity.as_deref());
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = FindingBuilder::new("npm audit", rule)
        .title(&format!("{name}: {title}"))
        .message(&format!("{title} ({name} {})", found.range.text()))
        .severity(severity, raw)
        .reference(url);
    if let Some(id) = id {
        finding = finding.cve(id);
    }
    for number in found.cwe.texts().flat_map(cwes) {
        finding = finding.cwe(number);
    }
    let vector = found
        .cvss
        .object()
        .and_then(|score| cvss_vector(score.vector_string.text()));
    finding = finding.cvss_vector(vector.unwrap_or_default());
    if let Some(number) = found.source.get() {
        finding = finding.extra_json("npm-advisory", &number.to_string());
    }
    let finding = package.put(finding, session, element, name);
    session.emit(finding, element)
}

impl Package {
    /// The places of the package in the tree; as many as a finding takes.
    fn nodes(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Stop> {
        reader.enter_array()?;
        while reader.next_element()? {
            let node = small_text(reader)?.filter(|_| self.nodes.len() <= LIST_ENTRIES);
            self.nodes.extend(node);
        }
        Ok(())
    }

    fn put(
        &self,
        finding: FindingBuilder,
        session: &mut Session<'_>,
        element: &Element<'_>,
        name: &str,
    ) -> FindingBuilder {
        let dependency = Dependency {
            name,
            ecosystem: "npm",
            fixed: &self.fixed,
            ..Dependency::default()
        };
        let mut finding = dependency
            .put(finding.category("dependency").tag("npm"))
            .extra_text("vulnerable-versions", &self.range)
            .remediation(&self.fix);
        for node in &self.nodes {
            finding = place::at(finding, session, element, node, Region::default(), "");
        }
        finding
    }
}
