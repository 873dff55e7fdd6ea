//! What semgrep's service lists of its supply chain rules: `{"vulns": [{"advisory": {…}, …}]}`, one record
//! for each package that an advisory is about.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Object, Text, Texts};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, each};
use tamiz_sdk::vocabulary::owasp;

use super::package::{Package, advisories};
use super::place::{self, Region};
use super::{walk, wrong};
use crate::vocabulary::SEMGREP;
use crate::weaknesses::Weaknesses;

pub(super) struct SemgrepSupplyChain;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Vulnerability<'a> {
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    advisory: Field<Object<Advisory<'a>>>,
    #[serde(borrow)]
    exposure_type: Text<'a>,
    #[serde(borrow)]
    matched_dependency: Field<Object<Dependency<'a>>>,
    #[serde(borrow)]
    closest_safe_dependency: Field<Object<Dependency<'a>>>,
    #[serde(borrow)]
    dependency_file_location: Field<Object<Place<'a>>>,
    #[serde(borrow)]
    group_key: Text<'a>,
    #[serde(borrow)]
    repository_name: Text<'a>,
    #[serde(borrow)]
    transitivity: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Advisory<'a> {
    #[serde(borrow)]
    rule_id: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    references: Field<Object<References<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct References<'a> {
    #[serde(borrow)]
    cve_ids: Texts<'a>,
    cwe_ids: Field<Weaknesses>,
    #[serde(borrow)]
    owasp_ids: Texts<'a>,
    #[serde(borrow)]
    urls: Texts<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    version_specifier: Text<'a>,
}

/// Lines are texts.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Place<'a> {
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    start_line: Text<'a>,
}

impl Format for SemgrepSupplyChain {
    fn name(&self) -> &'static str {
        "semgrep-supply-chain-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["semgrep supply chain"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "vulns[].advisory",
            "vulns[].matchedDependency",
            "vulns[].exposureType",
        ];
        (head.count(&keys) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("semgrep", None);
        walk::object(source, session, |reader, session, key, kind| {
            if (key, kind) != ("vulns", Kind::Array) {
                return Ok(false);
            }
            each(reader, session, "vulns", |session, element| {
                vulnerability(session, &element)
            })?;
            Ok(true)
        })
    }
}

fn vulnerability(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(record) = element.read_or_lose::<Vulnerability<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(record; advisory, matched_dependency, dependency_file_location),
    );
    let (no_advisory, no_references) = (Advisory::default(), References::default());
    let advisory = record.advisory.object().unwrap_or(&no_advisory);
    let references = advisory.references.object().unwrap_or(&no_references);
    if advisory.rule_id.text().is_empty() {
        session.lose_record(
            "record-without-rule",
            element,
            "names no rule in `advisory.ruleId`",
        );
        return Ok(());
    }
    let none = Dependency::default();
    let package = record.matched_dependency.object().unwrap_or(&none);
    let fixed = record.closest_safe_dependency.object().unwrap_or(&none);
    let package = Package {
        name: package.name.text(),
        version: package.version_specifier.text(),
        fixed: fixed.version_specifier.text(),
        ..Package::default()
    };
    let title = [&record.title, &advisory.title].map(Text::text);
    let title = title
        .into_iter()
        .find(|title| !title.is_empty())
        .unwrap_or_default();
    let raw = advisory.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEMGREP, raw, element);
    let mut finding = package
        .finding("semgrep", advisory.rule_id.text(), title)
        .message(advisory.description.text())
        .severity(severity, raw)
        .tool_fingerprint(record.group_key.text());
    finding = references.put(finding);
    for (key, word) in [
        ("exposure", record.exposure_type.text()),
        ("repository", record.repository_name.text()),
        ("transitivity", record.transitivity.text()),
    ] {
        if !word.is_empty() {
            finding = finding.extra_text(key, word);
        }
    }
    let nowhere = Place::default();
    let place = record.dependency_file_location.object().unwrap_or(&nowhere);
    let region = Region::line(place.start_line.text().trim().parse().ok());
    let finding = place::at(finding, session, element, place.path.text(), region, "");
    session.emit(finding, element)
}

impl References<'_> {
    fn put(&self, finding: FindingBuilder) -> FindingBuilder {
        let mut finding = advisories(finding, self.cve_ids.texts());
        for &number in self.cwe_ids.get().map_or(&[][..], |cwe| cwe.numbers.as_slice()) {
            finding = finding.cwe(number);
        }
        for text in self.owasp_ids.texts() {
            finding = finding.tag(owasp(text).as_deref().unwrap_or(text));
        }
        for address in self.urls.texts() {
            finding = finding.reference(address);
        }
        finding
    }
}
