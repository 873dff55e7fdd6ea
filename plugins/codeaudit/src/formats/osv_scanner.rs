//! OSV-Scanner's JSON (the shape of its `pkg/models/results.go`, versions 1 and 2):
//! `{"results": [{"source": {"path"}, "packages": [{"package", "vulnerabilities": […], "groups": […]}]}]}`.
//!
//! Each vulnerability of each package is a record, and so is each licence that was not allowed. A
//! vulnerability's severity is its database's word, else its CVSS vector's score.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text, Texts};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, objects, small_object,
};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use super::cvss::Vectors;
use super::osv_affected::{About, Entries, Score, Weakness};
use super::package::{Package, advisories};
use super::place::{self, Region};
use super::{walk, wrong};

/// What a vulnerability means that has neither a word nor a vector.
const UNGRADED: &str = "(not graded)";

/// What a package means that was made to do harm.
const MALICIOUS: &str = "(malicious package)";

/// What a notice means, such as that nobody maintains a package.
const INFORMATIONAL: &str = "(informational)";

/// What a licence means that was not allowed.
const LICENSE: &str = "(licence not allowed)";

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "osv-scanner",
    words: &[
        ("CRITICAL", Severity::Critical),
        ("HIGH", Severity::High),
        ("MODERATE", Severity::Medium),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
        ("NEGLIGIBLE", Severity::Info),
        ("UNKNOWN", Severity::Medium),
        (UNGRADED, Severity::Medium),
        (MALICIOUS, Severity::Critical),
        (LICENSE, Severity::Low),
        (INFORMATIONAL, Severity::Info),
    ],
};

pub(super) struct OsvScanner;

/// What stands around a vulnerability, in front of it.
#[derive(Default)]
struct Context {
    path: String,
    /// What the path is: `lockfile`, `sbom`, `docker`, `git`.
    kind: String,
    package: serde_json::Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vulnerability<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    aliases: Texts<'a>,
    /// The advisories that a distribution's one is about.
    #[serde(borrow)]
    upstream: Texts<'a>,
    #[serde(borrow)]
    related: Texts<'a>,
    #[serde(borrow)]
    summary: Text<'a>,
    #[serde(borrow)]
    details: Text<'a>,
    #[serde(borrow)]
    severity: Field<Objects<Score<'a>>>,
    #[serde(borrow)]
    affected: Field<Entries<'a>>,
    #[serde(borrow)]
    references: Field<Objects<Reference<'a>>>,
    #[serde(borrow)]
    database_specific: Field<Object<Database<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Database<'a> {
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    cwe_ids: Texts<'a>,
    #[serde(borrow)]
    cwes: Field<Objects<Weakness<'a>>>,
}

impl Format for OsvScanner {
    fn name(&self) -> &'static str {
        "osv-scanner-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["osv-scanner"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "results[].source",
            "results[].packages",
            "experimental_config",
            "results[].source.path",
            "results[].packages[].package.ecosystem",
            "results[].packages[].vulnerabilities",
        ];
        let named = head.has_any(&["experimental_config", "experimental_generic_findings"]);
        (head.has("results") && (head.count(&keys) >= 2 || named)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("osv-scanner", None);
        walk::object(source, session, |reader, session, key, kind| {
            if (key, kind) != ("results", Kind::Array) {
                return Ok(false);
            }
            objects(reader, session, "results", result)?;
            Ok(true)
        })
    }
}

fn result(reader: &mut JsonReader<'_>, session: &mut Session<'_>, name: &str) -> Result<(), Stop> {
    let mut context = Context::default();
    members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            // `packageSource` before version 1.
            ("source" | "packageSource", Kind::Object) => {
                let source = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                walk::text(&source, "path").clone_into(&mut context.path);
                walk::text(&source, "type").clone_into(&mut context.kind);
            }
            ("packages", Kind::Array) => {
                objects(
                    reader,
                    session,
                    &format!("{name}.packages"),
                    |reader, session, name| {
                        context.package = serde_json::Value::Null;
                        package(reader, session, name, &mut context)
                    },
                )?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn package(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    name: &str,
    context: &mut Context,
) -> Result<(), Stop> {
    members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            ("package" | "Package", Kind::Object) => {
                context.package = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
            }
            ("vulnerabilities", Kind::Array) => {
                let array = format!("{name}.vulnerabilities");
                each(reader, session, &array, |session, element| {
                    vulnerability(session, &element, context)
                })?;
            }
            ("license_violations", Kind::Array) => {
                let array = format!("{name}.license_violations");
                each(reader, session, &array, |session, element| {
                    license(session, &element, context)
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn vulnerability(session: &mut Session<'_>, element: &Element<'_>, context: &Context) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Vulnerability<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(found; id, aliases, summary, details, severity, database_specific),
    );
    let id = found.id.text();
    if id.is_empty() {
        session.lose_record("record-without-rule", element, "has no `id`");
        return Ok(());
    }
    let package = context.package();
    let none = Entries::default();
    let entries = found.affected.get().unwrap_or(&none);
    let about = entries.about(package.name, package.ecosystem);
    let package = Package {
        fixed: &about.fixed.join(", "),
        ..package
    };
    let vectors = found.vectors(&about);
    let raw = found.word();
    let severity = match (raw, vectors.severity()) {
        (None, Some(severity)) => severity,
        _ => session.severity(&SEVERITIES, raw.or(Some(found.unsaid(&about))), element),
    };
    let mut finding = package
        .finding("osv-scanner", id, found.summary.text())
        .message(match found.details.text() {
            "" => found.summary.text(),
            details => details,
        })
        .severity(severity, raw)
        .tag(&package.ecosystem.to_lowercase());
    let ids = [id].into_iter().chain(found.aliases.texts());
    finding = advisories(finding, ids.chain(found.upstream.texts()));
    for number in found.cwes().chain(about.cwes.iter().copied()) {
        finding = finding.cwe(number);
    }
    for reference in found.references.objects() {
        finding = finding.reference(reference.url.text());
    }
    let related: Vec<&str> = found.related.texts().collect();
    for (key, text) in [
        ("related", related.join(", ").as_str()),
        ("informational", about.informational.as_str()),
        ("source", context.kind.as_str()),
        ("commit", walk::text(&context.package, "commit")),
    ] {
        if !text.is_empty() {
            finding = finding.extra_text(key, text);
        }
    }
    finding = vectors.put(finding);
    let finding = place::at(finding, session, element, &context.path, Region::default(), "");
    session.emit(finding, element)
}

/// A licence that the tool was told not to allow: a text.
fn license(session: &mut Session<'_>, element: &Element<'_>, context: &Context) -> Result<(), Stop> {
    let Ok(name) = serde_json::from_slice::<String>(element.bytes()) else {
        session.lose_record(
            "record-unreadable",
            element,
            "could not be read: it is not a text",
        );
        return Ok(());
    };
    let package = context.package();
    let severity = session.severity(&SEVERITIES, Some(LICENSE), element);
    let finding = FindingBuilder::new("osv-scanner", &format!("license-{name}"))
        .title(&format!("{} {} is under {name}", package.name, package.version))
        .severity(severity, None)
        .category("license")
        .tag(&package.ecosystem.to_lowercase());
    let finding = package.put(finding);
    let finding = place::at(finding, session, element, &context.path, Region::default(), "");
    session.emit(finding, element)
}

impl Context {
    fn package(&self) -> Package<'_> {
        Package {
            name: walk::text(&self.package, "name"),
            version: walk::text(&self.package, "version"),
            ecosystem: walk::text(&self.package, "ecosystem"),
            ..Package::default()
        }
    }
}

impl Vulnerability<'_> {
    /// The database's word, or that of the one score that is a word (Ubuntu's).
    fn word(&self) -> Option<&str> {
        let database = self
            .database_specific
            .object()
            .map(|database| database.severity.text());
        let scores = self.severity.objects().iter().map(|score| score.score.text());
        database
            .filter(|word| !word.is_empty())
            .or_else(|| scores.into_iter().find(|word| SEVERITIES.get(word).is_some()))
    }

    /// What it is when nothing grades it.
    fn unsaid(&self, about: &About) -> &'static str {
        if self.id.text().starts_with("MAL-") {
            MALICIOUS
        } else if about.informational.is_empty() {
            UNGRADED
        } else {
            INFORMATIONAL
        }
    }

    fn vectors(&self, about: &About) -> Vectors {
        let mut vectors = Vectors::default();
        for score in self.severity.objects() {
            vectors.add(score.score.text());
        }
        for text in &about.vectors {
            vectors.add(text);
        }
        vectors
    }

    fn cwes(&self) -> impl Iterator<Item = u32> {
        let database = self.database_specific.object().into_iter();
        database.flat_map(|database| {
            let listed = database
                .cwes
                .objects()
                .iter()
                .map(|weakness| weakness.cwe_id.text());
            database.cwe_ids.texts().chain(listed).flat_map(cwes)
        })
    }
}
