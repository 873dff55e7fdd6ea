//! cargo-audit's JSON (the shape of rustsec's `Report`): `{"database", "lockfile", "settings",
//! "vulnerabilities": {"list": […]}, "warnings": {KIND: […]}}`.
//!
//! Warnings are packages that are unmaintained, unsound or yanked; a yanked one has no advisory. Severity is
//! the score of the CVSS vector, and without one the kind of warning.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Object, Text, Texts};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, small_object,
};
use tamiz_sdk::vocabulary::SeverityTable;

use super::cvss::Vectors;
use super::package::{Package, RUST, advisories};
use super::place::{self, Region};
use super::{walk, wrong};

/// What a vulnerability without a score means.
const UNGRADED: &str = "(not graded)";

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "cargo-audit",
    words: &[
        (UNGRADED, Severity::Medium),
        ("unsound", Severity::Low),
        ("notice", Severity::Info),
        ("unmaintained", Severity::Info),
        ("yanked", Severity::Info),
    ],
};

/// The file that is audited, which the report does not name.
const LOCK_FILE: &str = "Cargo.lock";

pub(super) struct CargoAudit;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    advisory: Field<Object<Advisory<'a>>>,
    #[serde(borrow)]
    package: Field<Object<Crate<'a>>>,
    #[serde(borrow)]
    versions: Field<Object<Versions<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Advisory<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    aliases: Texts<'a>,
    #[serde(borrow)]
    related: Texts<'a>,
    #[serde(borrow)]
    date: Text<'a>,
    #[serde(borrow)]
    categories: Texts<'a>,
    #[serde(borrow)]
    keywords: Texts<'a>,
    #[serde(borrow)]
    cvss: Text<'a>,
    #[serde(borrow)]
    references: Texts<'a>,
    #[serde(borrow)]
    url: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Crate<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow)]
    source: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Versions<'a> {
    #[serde(borrow)]
    patched: Texts<'a>,
}

impl Format for CargoAudit {
    fn name(&self) -> &'static str {
        "cargo-audit-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["cargo-audit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "database",
            "lockfile",
            "vulnerabilities.list",
            "vulnerabilities.found",
            "warnings",
        ];
        (head.count(&keys) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("cargo-audit", None);
        // Of several binaries one report stands after the other.
        walk::objects_in_a_row(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("vulnerabilities", Kind::Object) => {
                    members(reader, session, |reader, session, key, kind| {
                        if (key, kind) != ("list", Kind::Array) {
                            return Ok(false);
                        }
                        each(reader, session, "vulnerabilities.list", |session, element| {
                            record(session, &element, "")
                        })?;
                        Ok(true)
                    })?;
                }
                ("warnings", Kind::Object) => members(reader, session, |reader, session, kind_of, kind| {
                    if kind != Kind::Array {
                        return Ok(false);
                    }
                    let array = format!("warnings.{kind_of}");
                    each(reader, session, &array, |session, element| {
                        record(session, &element, kind_of)
                    })?;
                    Ok(true)
                })?,
                ("lockfile", Kind::Object) => {
                    let lockfile = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                    let count = lockfile
                        .get("dependency-count")
                        .and_then(serde_json::Value::as_u64);
                    if count.is_some_and(|count| count > 0) {
                        session.covered();
                    }
                }
                // Versions before 0.13.
                ("warnings", Kind::Array) => each(reader, session, "warnings", |session, element| {
                    record(session, &element, "notice")
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

/// `warning` is the kind of warning, empty for a vulnerability.
fn record(session: &mut Session<'_>, element: &Element<'_>, warning: &str) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Record<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(found; kind, advisory, package, versions));
    let (none, no_crate) = (Advisory::default(), Crate::default());
    let advisory = found.advisory.object().unwrap_or(&none);
    let package = found.package.object().unwrap_or(&no_crate);
    let word = match found.kind.text() {
        "" => warning,
        word => word,
    };
    let id = match advisory.id.text() {
        "" => word,
        id => id,
    };
    if id.is_empty() {
        session.lose_record("record-without-rule", element, "has no advisory");
        return Ok(());
    }
    let versions = found.versions.object().map(|versions| versions.patched.texts());
    let patched: Vec<&str> = versions.into_iter().flatten().collect();
    let subject = Package {
        name: package.name.text(),
        version: package.version.text(),
        ecosystem: RUST,
        fixed: &patched.join(" or "),
        url: "",
    };
    let mut vectors = Vectors::default();
    vectors.add(advisory.cvss.text());
    let raw = (!word.is_empty()).then_some(word);
    let severity = vectors
        .severity()
        .unwrap_or_else(|| session.severity(&SEVERITIES, raw.or(Some(UNGRADED)), element));
    let summary = match advisory.title.text() {
        "" => "the version was yanked",
        title => title,
    };
    let mut finding = subject
        .finding("cargo-audit", id, summary)
        .message(match advisory.description.text() {
            "" => summary,
            description => description,
        })
        .severity(severity, raw)
        .reference(advisory.url.text());
    if !word.is_empty() {
        finding = finding.tag(word);
    }
    if !package.source.text().is_empty() {
        finding = finding.extra_text("registry", package.source.text());
    }
    finding = vectors.put(advisory.put(advisories(finding, [id])));
    let finding = place::at(finding, session, element, LOCK_FILE, Region::default(), "");
    session.emit(finding, element)
}

impl Advisory<'_> {
    /// Writes what it says besides its texts into a finding.
    fn put(&self, mut finding: FindingBuilder) -> FindingBuilder {
        for text in self.categories.texts().chain(self.keywords.texts()) {
            finding = finding.tag(text);
        }
        for address in self.references.texts() {
            finding = finding.reference(address);
        }
        let related: Vec<&str> = self.related.texts().collect();
        for (key, text) in [("date", self.date.text()), ("related", &related.join(", "))] {
            if !text.is_empty() {
                finding = finding.extra_text(key, text);
            }
        }
        advisories(finding, self.aliases.texts())
    }
}
