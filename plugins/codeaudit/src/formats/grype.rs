//! Grype's JSON (the shape of its `presenter/models`, versions 0.50 to 0.90):
//! `{"matches": [{"vulnerability", "relatedVulnerabilities", "artifact"}], "source", "descriptor"}`.
//!
//! `ignoredMatches` are those that its rules take out; they are no findings.

use serde::Deserialize;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text, Texts};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, each, small_object};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use super::cvss::Vectors;
use super::package::{Package, advisories};
use super::place::{self, Region};
use super::{walk, wrong};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "grype",
    words: &[
        ("Critical", Severity::Critical),
        ("High", Severity::High),
        ("Medium", Severity::Medium),
        ("Low", Severity::Low),
        ("Negligible", Severity::Info),
        ("Unknown", Severity::Info),
    ],
};

pub(super) struct Grype;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Match<'a> {
    #[serde(borrow)]
    vulnerability: Field<Object<Vulnerability<'a>>>,
    #[serde(borrow)]
    related_vulnerabilities: Field<Objects<Vulnerability<'a>>>,
    #[serde(borrow)]
    artifact: Field<Object<Artifact<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Vulnerability<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    data_source: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    urls: Texts<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    cvss: Field<Objects<Score<'a>>>,
    #[serde(borrow)]
    cwes: Field<Objects<Weakness<'a>>>,
    #[serde(borrow)]
    fix: Field<Object<Fix<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Score<'a> {
    #[serde(borrow)]
    vector: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Weakness<'a> {
    #[serde(borrow)]
    cwe: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fix<'a> {
    #[serde(borrow)]
    versions: Texts<'a>,
    #[serde(borrow)]
    state: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Artifact<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    purl: Text<'a>,
    #[serde(borrow)]
    locations: Field<Objects<Place<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place<'a> {
    #[serde(borrow)]
    path: Text<'a>,
}

impl Format for Grype {
    fn name(&self) -> &'static str {
        "grype-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["grype"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let envelope = head.count(&["matches", "source", "distro", "descriptor"]) >= 3;
        let record = head.count(&[
            "matches[].vulnerability",
            "matches[].artifact",
            "matches[].matchDetails",
        ]) >= 2;
        (head.has("matches") && (envelope || record)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("grype", None);
        walk::object(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("matches", Kind::Array) => {
                    each(reader, session, "matches", |session, element| {
                        found(session, &element)
                    })?;
                }
                ("ignoredMatches", Kind::Array) => {
                    each(reader, session, "ignoredMatches", |session, element| {
                        let why = "is taken out by the tool's rules";
                        session.leave_out_record("match-ignored", &element, why);
                        Ok(())
                    })?;
                }
                ("descriptor", Kind::Object) => {
                    let descriptor = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                    session.tool_is("grype", Some(walk::text(&descriptor, "version")));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn found(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Match<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(found; vulnerability, related_vulnerabilities, artifact),
    );
    let (no_vulnerability, no_artifact) = (Vulnerability::default(), Artifact::default());
    let own = found.vulnerability.object().unwrap_or(&no_vulnerability);
    let artifact = found.artifact.object().unwrap_or(&no_artifact);
    element.tell_wrong(session, wrong!(own; id, severity, description, cvss, fix));
    let id = own.id.text();
    if id.is_empty() {
        session.lose_record("record-without-rule", element, "has no `vulnerability.id`");
        return Ok(());
    }
    let fix = own.fix.object();
    let versions: Vec<&str> = fix.map(|fix| fix.versions.texts().collect()).unwrap_or_default();
    let package = Package {
        name: artifact.name.text(),
        version: artifact.version.text(),
        fixed: &versions.join(", "),
        url: artifact.purl.text(),
    };
    let all = || [own].into_iter().chain(found.related_vulnerabilities.objects());
    let description = all()
        .map(|one| one.description.text())
        .find(|text| !text.is_empty());
    let raw = own.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = package
        .finding("grype", id, id)
        .message(description.unwrap_or_default())
        .severity(severity, raw)
        .tag(artifact.kind.text());
    if let Some(fix) = fix {
        finding = finding.extra_text("fix-state", fix.state.text());
    }
    let mut vectors = Vectors::default();
    for one in all() {
        finding = finding.reference(one.data_source.text());
        for address in one.urls.texts() {
            finding = finding.reference(address);
        }
        for score in one.cvss.objects() {
            vectors.add(score.vector.text());
        }
        for number in one
            .cwes
            .objects()
            .iter()
            .flat_map(|weakness| cwes(weakness.cwe.text()))
        {
            finding = finding.cwe(number);
        }
    }
    finding = advisories(finding, all().map(|one| one.id.text()));
    finding = vectors.put(finding);
    for location in artifact.locations.objects() {
        let path = location.path.text().trim_start_matches('/');
        finding = place::at(finding, session, element, path, Region::default(), "");
    }
    session.emit(finding, element)
}
