//! `npm audit --json` of npm 6, and that of pnpm and yarn 2 and 3: `{"actions", "advisories": {NUMBER: {…}},
//! "muted", "metadata"}`.
//!
//! Each advisory is a record; the paths that lead to its package (`a>b>c`) are its extra `paths`. Yarn 1 has
//! the same advisories on lines: see [`super::yarn_audit`].

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text, Texts, Whole};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::{EXTRA_BYTES, RECORD_BYTES};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, members, small_object, span_since,
};
use tamiz_sdk::vocabulary::{advisories as advisories_in, cvss_vector, cwes};

use super::npm_audit::{SEVERITIES, Score};
use super::package::{Package, addresses, advisories};
use super::{walk, wrong};

pub(super) struct NpmAuditSix;

/// Paths that are kept: half of one extra, for quotes in them take two bytes.
const PATHS_BYTES: usize = EXTRA_BYTES / 2;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Advisory<'a> {
    id: Whole,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    module_name: Text<'a>,
    #[serde(borrow)]
    findings: Field<Objects<Place<'a>>>,
    #[serde(borrow)]
    cves: Texts<'a>,
    #[serde(borrow)]
    github_advisory_id: Text<'a>,
    #[serde(borrow)]
    vulnerable_versions: Text<'a>,
    #[serde(borrow)]
    patched_versions: Text<'a>,
    #[serde(borrow)]
    overview: Text<'a>,
    #[serde(borrow)]
    recommendation: Text<'a>,
    #[serde(borrow)]
    references: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    cwe: Texts<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    cvss: Field<Object<Score<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place<'a> {
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow)]
    paths: Texts<'a>,
}

impl Format for NpmAuditSix {
    fn name(&self) -> &'static str {
        "npm-audit6-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["npm audit", "pnpm audit", "yarn npm audit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let envelope = head.count(&["actions", "advisories", "muted", "metadata", "runId"]) >= 3;
        let counts = head.has_all(&["metadata.vulnerabilities", "metadata.totalDependencies"]);
        let record = head.has("advisories.*.module_name");
        (head.has("advisories") && (envelope || counts || record)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("npm audit", None);
        walk::object(source, session, |reader, session, key, kind| {
            if (key, kind) == ("metadata", Kind::Object) {
                let counts = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                let total = counts
                    .get("totalDependencies")
                    .and_then(serde_json::Value::as_u64);
                if total.is_some_and(|total| total > 0) {
                    session.covered();
                }
                return Ok(true);
            }
            if (key, kind) != ("advisories", Kind::Object) {
                return Ok(false);
            }
            members(reader, session, |reader, session, number, _| {
                advisory(reader, session, number)?;
                Ok(true)
            })?;
            Ok(true)
        })
    }
}

fn advisory(reader: &mut JsonReader<'_>, session: &mut Session<'_>, number: &str) -> Result<(), Stop> {
    let start = reader.offset();
    let place = format!("advisories[{number:?}]");
    let Located::Whole { bytes, span } = reader.value(RECORD_BYTES)? else {
        let span = span_since(reader, start);
        session.lose(
            "record-too-large",
            &format!("{place} is too large or too deep"),
            span,
        );
        return Ok(());
    };
    let element = Element::named(&place, bytes, span);
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Advisory<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(found; id, title, module_name, findings, severity, overview, cwe),
    );
    let finding = found.finding("npm audit", session, &element, number);
    session.emit(finding, &element)
}

impl Advisory<'_> {
    /// A finding of a tool; `number` is what the advisory is filed under.
    pub(super) fn finding(
        &self,
        tool: &str,
        session: &mut Session<'_>,
        element: &Element<'_>,
        number: &str,
    ) -> FindingBuilder {
        let ids = || {
            [self.github_advisory_id.text()]
                .into_iter()
                .chain(advisories_in(self.url.text()))
        };
        let rule = ids().find(|id| !id.is_empty()).unwrap_or(number);
        let raw = self.severity.get().map(AsRef::as_ref);
        let severity = session.severity(&SEVERITIES, raw, element);
        let (name, title) = (self.module_name.text(), self.title.text());
        let places = self.findings.objects();
        let version = places.first().map_or("", |place| place.version.text());
        // No version at all is written as one that cannot be.
        let fixed = match self.patched_versions.text() {
            "<0.0.0" => "",
            versions => versions,
        };
        let package = Package {
            name,
            version,
            ecosystem: "npm",
            fixed,
            ..Package::default()
        };
        let rule = if rule.is_empty() { "advisory" } else { rule };
        let mut finding = package
            .put(FindingBuilder::new(tool, rule))
            .title(&format!("{name}: {title}"))
            .message(match self.overview.text() {
                "" => title,
                overview => overview,
            })
            .severity(severity, raw)
            .category("dependency")
            .tag("npm")
            .remediation(self.recommendation.text())
            .reference(self.url.text());
        if !self.vulnerable_versions.text().is_empty() {
            finding = finding.extra_text("vulnerable-versions", self.vulnerable_versions.text());
        }
        if let Some(number) = self.id.get() {
            finding = finding.extra_json("npm-advisory", &number.to_string());
        }
        // One text: a list of addresses, or of Markdown's links.
        for address in addresses(self.references.text()) {
            finding = finding.reference(address);
        }
        for number in self.cwe.texts().flat_map(cwes) {
            finding = finding.cwe(number);
        }
        finding = advisories(finding, ids().chain(self.cves.texts()));
        let vector = self
            .cvss
            .object()
            .and_then(|score| cvss_vector(score.vector_string.text()));
        finding = finding.cvss_vector(vector.unwrap_or_default());
        let all = places.iter().flat_map(|place| place.paths.texts());
        put_paths(finding, all)
    }
}

/// The paths that lead to the package, as many as there is room for.
fn put_paths<'a>(finding: FindingBuilder, all: impl Iterator<Item = &'a str>) -> FindingBuilder {
    let (mut paths, mut room, mut count) = (Vec::new(), PATHS_BYTES, 0_u32);
    for path in all {
        count += 1;
        if let Some(rest) = room.checked_sub(path.len() + 3) {
            room = rest;
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return finding;
    }
    let finding = if paths.len() < count as usize {
        finding.extra_json("paths-in-all", &count.to_string())
    } else {
        finding
    };
    finding.extra_json("paths", &serde_json::json!(paths).to_string())
}
