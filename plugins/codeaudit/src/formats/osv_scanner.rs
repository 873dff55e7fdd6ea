//! OSV-Scanner's JSON (the shape of its `pkg/models/results.go`, versions 1 and 2):
//! `{"results": [{"source": {"path"}, "packages": [{"package", "vulnerabilities": […], "groups": […]}]}]}`.
//!
//! Each vulnerability of each package is a record. Its severity is its database's word, else its CVSS
//! vector's score.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text, Texts};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, objects, small_object,
};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use super::cvss::Vectors;
use super::package::{Package, advisories};
use super::place::{self, Region};
use super::{walk, wrong};

/// What a vulnerability means that has neither a word nor a vector.
const UNGRADED: &str = "(not graded)";

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
    ],
};

pub(super) struct OsvScanner;

/// What stands around a vulnerability, in front of it.
#[derive(Default)]
struct Context {
    path: String,
    package: serde_json::Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vulnerability<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    aliases: Texts<'a>,
    #[serde(borrow)]
    summary: Text<'a>,
    #[serde(borrow)]
    details: Text<'a>,
    #[serde(borrow)]
    severity: Field<Objects<Score<'a>>>,
    #[serde(borrow)]
    affected: Field<Objects<Affected<'a>>>,
    #[serde(borrow)]
    references: Field<Objects<Reference<'a>>>,
    #[serde(borrow)]
    database_specific: Field<Object<Database<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Score<'a> {
    #[serde(borrow)]
    score: Text<'a>,
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
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Affected<'a> {
    #[serde(borrow)]
    package: Field<Object<Name<'a>>>,
    #[serde(borrow)]
    severity: Field<Objects<Score<'a>>>,
    #[serde(borrow)]
    ranges: Field<Objects<Range<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    events: Field<Objects<RangeEvent<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RangeEvent<'a> {
    #[serde(borrow)]
    fixed: Text<'a>,
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
        ];
        (head.has("results") && (head.count(&keys) >= 2 || head.has("experimental_config"))).into()
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
            ("source", Kind::Object) => {
                let source = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                walk::text(&source, "path").clone_into(&mut context.path);
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
            ("package", Kind::Object) => {
                context.package = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
            }
            ("vulnerabilities", Kind::Array) => {
                let array = format!("{name}.vulnerabilities");
                each(reader, session, &array, |session, element| {
                    vulnerability(session, &element, context)
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
    let name = walk::text(&context.package, "name");
    let package = Package {
        name,
        version: walk::text(&context.package, "version"),
        fixed: &found.fixed(name),
        url: "",
    };
    let vectors = found.vectors();
    let database = found.database_specific.object();
    let raw = database
        .map(|database| database.severity.text())
        .filter(|word| !word.is_empty());
    let severity = match (raw, vectors.severity()) {
        (None, Some(severity)) => severity,
        _ => session.severity(&SEVERITIES, raw.or(Some(UNGRADED)), element),
    };
    let mut finding = package
        .finding("osv-scanner", id, found.summary.text())
        .message(match found.details.text() {
            "" => found.summary.text(),
            details => details,
        })
        .severity(severity, raw)
        .tag(&walk::text(&context.package, "ecosystem").to_lowercase());
    finding = advisories(finding, [id].into_iter().chain(found.aliases.texts()));
    for number in database
        .into_iter()
        .flat_map(|database| database.cwe_ids.texts().flat_map(cwes))
    {
        finding = finding.cwe(number);
    }
    for reference in found.references.objects() {
        finding = finding.reference(reference.url.text());
    }
    finding = vectors.put(finding);
    let finding = place::at(finding, session, element, &context.path, Region::default(), "");
    session.emit(finding, element)
}

impl Vulnerability<'_> {
    fn vectors(&self) -> Vectors {
        let mut vectors = Vectors::default();
        let affected = self
            .affected
            .objects()
            .iter()
            .flat_map(|affected| affected.severity.objects());
        for score in self.severity.objects().iter().chain(affected) {
            vectors.add(score.score.text());
        }
        vectors
    }

    /// The versions of this package that are said to be fixed; those of git are commits.
    fn fixed(&self, package: &str) -> String {
        let same = |affected: &&Affected<'_>| {
            affected
                .package
                .object()
                .is_none_or(|name| name.name.text() == package)
        };
        let ranges = self
            .affected
            .objects()
            .iter()
            .filter(same)
            .flat_map(|affected| affected.ranges.objects());
        let events = ranges
            .filter(|range| range.kind.text() != "GIT")
            .flat_map(|range| range.events.objects());
        let mut versions: Vec<&str> = Vec::new();
        for version in events.map(|event| event.fixed.text()) {
            if !version.is_empty() && !versions.contains(&version) {
                versions.push(version);
            }
        }
        versions.join(", ")
    }
}
