//! Grype's JSON (the shape of its `presenter/models`, versions 0.1 to 0.100):
//! `{"matches": [{"vulnerability", "relatedVulnerabilities", "matchDetails", "artifact"}], "source",
//! "descriptor"}`. How likely it is that a vulnerability is used (EPSS), and that it is (KEV), are extra.
//!
//! `ignoredMatches` are those that rules take out: findings that are suppressed, or none where the rule is the tool's own
//! and says that there is no flaw.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Decimal, Field, Object, Objects, Text, Texts};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, each, small_object};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use super::cvss::Vectors;
use super::image;
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
    #[serde(borrow, rename = "matchDetails")]
    details: Field<Objects<Detail<'a>>>,
    #[serde(borrow)]
    artifact: Field<Object<Artifact<'a>>>,
    #[serde(borrow, rename = "appliedIgnoreRules")]
    rules: Field<Objects<Rule<'a>>>,
}

/// Why a match is ignored: by a file of the user, by an option, or by a VEX document.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Rule<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    fix_state: Text<'a>,
    #[serde(borrow)]
    vex_status: Text<'a>,
    #[serde(borrow)]
    vex_justification: Text<'a>,
}

/// Reasons of the tool itself: the distribution has mended it, or never had it.
const OWN_REASONS: [&str; 2] = ["DistroPackageFixed", "Explicit APK NAK"];

impl Rule<'_> {
    /// All that it says: `not_affected: vulnerable_code_not_present`.
    fn justification(&self) -> String {
        let state = match self.fix_state.text() {
            "" => String::new(),
            state => format!("fix state {state}"),
        };
        let said = [
            self.vex_status.text(),
            self.vex_justification.text(),
            self.reason.text(),
            state.as_str(),
        ];
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        said.join(": ")
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    fix: Field<Object<Suggestion<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Suggestion<'a> {
    #[serde(borrow)]
    suggested_version: Text<'a>,
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
    namespace: Text<'a>,
    /// `links` before version 0.13.
    #[serde(borrow, alias = "links")]
    urls: Texts<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    cvss: Field<Objects<Score<'a>>>,
    /// One of each before version 0.13.
    #[serde(borrow, rename = "cvssV2")]
    cvss_two: Field<Object<Score<'a>>>,
    #[serde(borrow, rename = "cvssV3")]
    cvss_three: Field<Object<Score<'a>>>,
    #[serde(borrow)]
    fixed_in_version: Text<'a>,
    #[serde(borrow)]
    advisories: Field<Objects<Advisory<'a>>>,
    #[serde(borrow)]
    epss: Field<Objects<Forecast<'a>>>,
    #[serde(borrow)]
    known_exploited: Field<Objects<Exploit<'a>>>,
    risk: Field<Decimal>,
    #[serde(borrow)]
    cwes: Field<Objects<Weakness<'a>>>,
    #[serde(borrow)]
    fix: Field<Object<Fix<'a>>>,
}

/// Of a distribution: `{"id": "RHSA-2024:1", "link"}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Advisory<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    link: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Forecast<'a> {
    #[serde(borrow)]
    cve: Text<'a>,
    epss: Field<Decimal>,
    percentile: Field<Decimal>,
    #[serde(borrow)]
    date: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exploit<'a> {
    #[serde(borrow)]
    cve: Text<'a>,
    #[serde(borrow)]
    date_added: Text<'a>,
    #[serde(borrow)]
    required_action: Text<'a>,
    #[serde(borrow)]
    known_ransomware_campaign_use: Text<'a>,
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
    language: Text<'a>,
    #[serde(borrow)]
    locations: Field<Objects<Place<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place<'a> {
    #[serde(borrow)]
    path: Text<'a>,
}

/// What was looked at: `{"type": "image", "target": {"userInput", …}}`; of a folder the target is its path.
#[derive(Default, Deserialize)]
#[serde(default)]
struct From {
    #[serde(rename = "type")]
    kind: String,
    target: serde_json::Value,
}

impl From {
    fn image(&self) -> Option<&str> {
        let name = walk::text(&self.target, "userInput");
        image::repository(name).filter(|_| self.kind == "image")
    }
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
                        found(session, &element)
                    })?;
                }
                ("source", Kind::Object) => {
                    let from = small_object::<From>(reader)?.unwrap_or_default();
                    if let Some(image) = from.image() {
                        session.target_is(image);
                    }
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
    if found.is_no_flaw() {
        session.leave_out_record("match-ignored", element, "is taken out by the tool's own rules");
        return Ok(());
    }
    let (no_vulnerability, no_artifact) = (Vulnerability::default(), Artifact::default());
    let own = found.vulnerability.object().unwrap_or(&no_vulnerability);
    let artifact = found.artifact.object().unwrap_or(&no_artifact);
    element.tell_wrong(session, wrong!(own; id, severity, description, cvss, fix));
    let id = own.id.text();
    if id.is_empty() {
        session.lose_record("record-without-rule", element, "has no `vulnerability.id`");
        return Ok(());
    }
    let package = Package {
        name: artifact.name.text(),
        version: artifact.version.text(),
        ecosystem: artifact.kind.text(),
        fixed: &found.fixed(own),
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
        .tag(artifact.kind.text())
        .tag(artifact.language.text());
    let state = own.fix.object().map_or("", |fix| fix.state.text());
    let kind = found
        .details
        .objects()
        .first()
        .map_or("", |detail| detail.kind.text());
    for (key, text) in [
        ("fix-state", state),
        ("namespace", own.namespace.text()),
        ("match-type", kind),
    ] {
        if !text.is_empty() {
            finding = finding.extra_text(key, text);
        }
    }
    let mut vectors = Vectors::default();
    for one in all() {
        finding = one.put(finding, &mut vectors);
    }
    finding = advisories(finding, all().map(|one| one.id.text()));
    finding = advisories(
        finding,
        own.advisories.objects().iter().map(|advisory| advisory.id.text()),
    );
    let finding = found.suppressed(own.outlook(vectors.put(finding)));
    let finding = artifact.put_places(finding, session, element);
    session.emit(finding, element)
}

impl Artifact<'_> {
    /// Writes where the package was found into a finding.
    fn put_places(
        &self,
        mut finding: FindingBuilder,
        session: &mut Session<'_>,
        element: &Element<'_>,
    ) -> FindingBuilder {
        let is_cut = self.locations.is_cut();
        walk::tell_cut(session, element, "artifact.locations", is_cut);
        for location in self.locations.objects() {
            let path = location.path.text();
            finding = place::at(finding, session, element, path, Region::default(), "");
        }
        finding
    }
}

impl Match<'_> {
    /// Whether the tool itself says that the package does not have it.
    fn is_no_flaw(&self) -> bool {
        let mut rules = self.rules.objects().iter();
        rules.any(|rule| OWN_REASONS.contains(&rule.reason.text()))
    }

    /// Writes why it is ignored into a finding.
    fn suppressed(&self, finding: FindingBuilder) -> FindingBuilder {
        let rules = self.rules.objects().iter();
        rules.fold(finding, |finding, rule| {
            finding.suppression("external", &rule.justification())
        })
    }

    /// The versions without the problem. The one that the tool suggests for this package stands first.
    fn fixed(&self, own: &Vulnerability<'_>) -> String {
        let suggested = self
            .details
            .objects()
            .iter()
            .filter_map(|detail| detail.fix.object());
        let listed = own.fix.object().into_iter().flat_map(|fix| fix.versions.texts());
        let all = suggested
            .map(|suggestion| suggestion.suggested_version.text())
            .chain(listed)
            .chain([own.fixed_in_version.text()]);
        let mut versions: Vec<&str> = Vec::new();
        for version in all {
            if !version.is_empty() && !versions.contains(&version) {
                versions.push(version);
            }
        }
        versions.join(", ")
    }
}

impl Vulnerability<'_> {
    /// Writes what one database says into a finding: addresses, vectors, weaknesses.
    fn put(&self, mut finding: FindingBuilder, vectors: &mut Vectors) -> FindingBuilder {
        finding = finding.reference(self.data_source.text());
        let links = self
            .advisories
            .objects()
            .iter()
            .map(|advisory| advisory.link.text());
        for address in self.urls.texts().chain(links) {
            finding = finding.reference(address);
        }
        let older = [&self.cvss_three, &self.cvss_two];
        let older = older.iter().filter_map(|score| score.object());
        for score in self.cvss.objects().iter().chain(older) {
            vectors.add(score.vector.text());
        }
        let weaknesses = self.cwes.objects().iter();
        for number in weaknesses.flat_map(|weakness| cwes(weakness.cwe.text())) {
            finding = finding.cwe(number);
        }
        finding
    }

    /// How likely its use is, and whether it is known.
    fn outlook(&self, mut finding: FindingBuilder) -> FindingBuilder {
        let number = |field: &Field<Decimal>| field.get().map(|number| number.0);
        if let Some(forecast) = self.epss.objects().first() {
            let forecast = serde_json::json!({
                "cve": forecast.cve.text(),
                "epss": number(&forecast.epss),
                "percentile": number(&forecast.percentile),
                "date": forecast.date.text(),
            });
            finding = finding.extra_json("epss", &forecast.to_string());
        }
        if let Some(exploit) = self.known_exploited.objects().first() {
            let known = serde_json::json!({
                "cve": exploit.cve.text(),
                "date-added": exploit.date_added.text(),
                "required-action": exploit.required_action.text(),
                "ransomware": exploit.known_ransomware_campaign_use.text(),
            });
            finding = finding
                .extra_json("known-exploited", &known.to_string())
                .tag("known-exploited");
        }
        if let Some(risk) = number(&self.risk) {
            finding = finding.extra_json("risk", &serde_json::json!(risk).to_string());
        }
        finding
    }
}
