//! `npm audit --json` of npm 6: `{"actions", "advisories": {NUMBER: {…}}, "muted", "metadata"}`.
//!
//! Each advisory is a record; the paths that lead to its package (`a>b>c`) are its extra `paths`.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text, Texts, Whole};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::{LIST_ENTRIES, RECORD_BYTES};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, members, span_since};
use tamiz_sdk::vocabulary::{advisories as advisories_in, cvss_vector, cwes};

use super::npm_audit::SEVERITIES;
use super::package::advisories;
use super::{walk, wrong};

pub(super) struct NpmAuditSix;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Advisory<'a> {
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

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Score<'a> {
    #[serde(borrow)]
    vector_string: Text<'a>,
}

impl Format for NpmAuditSix {
    fn name(&self) -> &'static str {
        "npm-audit6-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["npm audit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let envelope = head.count(&["actions", "advisories", "muted", "metadata", "runId"]) >= 3;
        (head.has("advisories") && (envelope || head.has("advisories.*.module_name"))).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("npm audit", None);
        walk::object(source, session, |reader, session, key, kind| {
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
    let finding = found.finding(session, &element, number);
    session.emit(finding, &element)
}

impl Advisory<'_> {
    fn finding(&self, session: &mut Session<'_>, element: &Element<'_>, number: &str) -> FindingBuilder {
        let ids = || {
            [self.github_advisory_id.text()]
                .into_iter()
                .chain(advisories_in(self.url.text()))
        };
        let rule = ids().find(|id| !id.is_empty()).unwrap_or(number);
        let raw = self.severity.get().map(AsRef::as_ref);
        let severity = session.severity(&SEVERITIES, raw, element);
        let (name, title) = (self.module_name.text(), self.title.text());
        let mut finding = FindingBuilder::new("npm audit", if rule.is_empty() { "advisory" } else { rule })
            .title(&format!("{name}: {title}"))
            .message(match self.overview.text() {
                "" => title,
                overview => overview,
            })
            .severity(severity, raw)
            .category("dependency")
            .tag("npm")
            .remediation(self.recommendation.text())
            .reference(self.url.text())
            .extra_text("package", name);
        for (key, text) in [
            ("vulnerable-versions", self.vulnerable_versions.text()),
            ("fixed-version", self.patched_versions.text()),
        ] {
            if !text.is_empty() {
                finding = finding.extra_text(key, text);
            }
        }
        // One text of several lines, each an address in a list.
        for word in self.references.text().split_whitespace() {
            finding = finding.reference(word);
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
        let places = self.findings.objects();
        if let Some(place) = places.first() {
            finding = finding.extra_text("version", place.version.text());
        }
        let paths: Vec<_> = places
            .iter()
            .flat_map(|place| place.paths.texts())
            .take(LIST_ENTRIES)
            .collect();
        if paths.is_empty() {
            finding
        } else {
            finding.extra_json("paths", &serde_json::json!(paths).to_string())
        }
    }
}
