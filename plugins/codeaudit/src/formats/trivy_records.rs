//! Trivy's records: vulnerabilities of packages, misconfigurations, secrets, licences.
//!
//! Secrets are censored by trivy itself (`Match` has stars), so there is nothing to make an identity of.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Members, Object, Objects, Text, Texts, Whole};
use tamiz_sdk::report::{Element, Session, Stop};
use tamiz_sdk::vocabulary::cwes;

use super::cvss::Vectors;
use super::package::{Package, advisories};
use super::place::{self, Region};
use super::trivy::{SEVERITIES, Target};
use super::{trivy_modified, wrong};

/// Which of a result's lists a record is of.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Vulnerability,
    Misconfiguration,
    Secret,
    License,
    /// What the tool's rules take out, listed on request.
    Suppressed,
}

impl Kind {
    /// Of the list with a name; none for one that holds no records, such as `Packages`.
    pub(super) fn of(list: &str) -> Option<Self> {
        Some(match list {
            "Vulnerabilities" => Self::Vulnerability,
            "Misconfigurations" => Self::Misconfiguration,
            "Secrets" => Self::Secret,
            "Licenses" => Self::License,
            "ModifiedFindings" | "ExperimentalModifiedFindings" => Self::Suppressed,
            _ => return None,
        })
    }

    /// Makes a finding of one record.
    pub(super) fn convert(
        self,
        session: &mut Session<'_>,
        element: &Element<'_>,
        target: &Target,
    ) -> Result<(), Stop> {
        match self {
            Self::Vulnerability => vulnerability(session, element, target),
            Self::Misconfiguration => misconfiguration(session, element, target),
            Self::Secret => secret(session, element, target),
            Self::License => license(session, element, target),
            Self::Suppressed => trivy_modified::convert(session, element, target),
        }
    }

    /// By the word for it in a record that is taken out.
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "vulnerability" => Self::Vulnerability,
            "misconfiguration" => Self::Misconfiguration,
            "secret" => Self::Secret,
            "license" => Self::License,
            _ => return None,
        })
    }
}

/// Lines of one snippet.
const LINES_MAX: usize = 20;

/// Whose score is taken first; others follow as they stand.
const SCORERS: [&str; 3] = ["nvd", "ghsa", "redhat"];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Vulnerability<'a> {
    #[serde(borrow, rename = "VulnerabilityID")]
    id: Text<'a>,
    #[serde(borrow, rename = "VendorIDs")]
    vendor_ids: Texts<'a>,
    #[serde(borrow)]
    fingerprint: Text<'a>,
    #[serde(borrow)]
    pkg_name: Text<'a>,
    #[serde(borrow)]
    pkg_path: Text<'a>,
    #[serde(borrow)]
    pkg_identifier: Field<Object<Identifier<'a>>>,
    #[serde(borrow)]
    installed_version: Text<'a>,
    #[serde(borrow)]
    fixed_version: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow, rename = "CweIDs")]
    cwe_ids: Texts<'a>,
    #[serde(borrow, rename = "CVSS")]
    scores: Field<Members<Field<Object<Score<'a>>>>>,
    #[serde(borrow, rename = "PrimaryURL")]
    primary_url: Text<'a>,
    #[serde(borrow)]
    references: Texts<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Identifier<'a> {
    #[serde(borrow, rename = "PURL")]
    url: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Score<'a> {
    #[serde(borrow, rename = "V40Vector")]
    four: Text<'a>,
    #[serde(borrow, rename = "V3Vector")]
    three: Text<'a>,
    #[serde(borrow, rename = "V2Vector")]
    two: Text<'a>,
}

fn vulnerability(session: &mut Session<'_>, element: &Element<'_>, target: &Target) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Vulnerability<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(found; id, pkg_name, installed_version, fixed_version, title, description, severity, cwe_ids, scores),
    );
    let id = found.id.text();
    if id.is_empty() {
        session.lose_record("record-without-rule", element, "has no `VulnerabilityID`");
        return Ok(());
    }
    let package = Package {
        name: found.pkg_name.text(),
        version: found.installed_version.text(),
        ecosystem: &target.kind,
        fixed: found.fixed_version.text(),
        url: found
            .pkg_identifier
            .object()
            .map_or("", |identifier| identifier.url.text()),
    };
    let raw = found.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = package
        .finding("trivy", id, found.title.text())
        .message(match found.description.text() {
            "" => found.title.text(),
            description => description,
        })
        .severity(severity, raw)
        .tag(&target.kind)
        .tool_fingerprint(found.fingerprint.text())
        .reference(found.primary_url.text());
    for address in found.references.texts() {
        finding = finding.reference(address);
    }
    for number in found.cwe_ids.texts().flat_map(cwes) {
        finding = finding.cwe(number);
    }
    if !found.status.text().is_empty() {
        finding = finding.extra_text("status", found.status.text());
    }
    finding = advisories(finding, [id].into_iter().chain(found.vendor_ids.texts()));
    finding = found.vectors().put(finding);
    let path = match found.pkg_path.text() {
        "" => target.path.as_str(),
        path => path,
    };
    let finding = target.put(finding);
    let finding = place::at(finding, session, element, path, Region::default(), "");
    session.emit(finding, element)
}

impl Target {
    /// Writes what of the target is no place into a finding.
    fn put(&self, mut finding: FindingBuilder) -> FindingBuilder {
        for (key, text) in [("class", &self.class), ("kubernetes-object", &self.object)] {
            if !text.is_empty() {
                finding = finding.extra_text(key, text);
            }
        }
        match &self.suppressed {
            Some(why) => finding.suppression("external", why),
            None => finding,
        }
    }
}

impl Score<'_> {
    /// The vectors of one vendor, the newest first.
    pub(super) fn add_to(&self, vectors: &mut Vectors) {
        for text in [&self.four, &self.three, &self.two] {
            vectors.add(text.text());
        }
    }
}

impl Vulnerability<'_> {
    fn vectors(&self) -> Vectors {
        let scores = self.scores.members();
        let first = SCORERS
            .iter()
            .filter_map(|scorer| scores.iter().find(|(name, _)| name == scorer));
        let mut vectors = Vectors::default();
        for (_, score) in first.chain(scores) {
            if let Some(score) = score.object() {
                score.add_to(&mut vectors);
            }
        }
        vectors
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Misconfiguration<'a> {
    #[serde(borrow, rename = "ID")]
    id: Text<'a>,
    #[serde(borrow, rename = "AVDID")]
    advisory: Text<'a>,
    #[serde(borrow, rename = "Type")]
    kind: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    resolution: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow, rename = "PrimaryURL")]
    primary_url: Text<'a>,
    #[serde(borrow)]
    references: Texts<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    cause_metadata: Field<Object<Cause<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Cause<'a> {
    #[serde(borrow)]
    resource: Text<'a>,
    start_line: Whole,
    end_line: Whole,
    #[serde(borrow)]
    code: Field<Object<Code<'a>>>,
    #[serde(borrow)]
    occurrences: Field<Objects<Occurrence<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Occurrence<'a> {
    #[serde(borrow)]
    filename: Text<'a>,
    location: Field<Object<Lines>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Lines {
    start_line: Whole,
    end_line: Whole,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Code<'a> {
    #[serde(borrow)]
    lines: Field<Objects<Line<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Line<'a> {
    #[serde(borrow)]
    content: Text<'a>,
    is_cause: Field<bool>,
}

fn misconfiguration(session: &mut Session<'_>, element: &Element<'_>, target: &Target) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Misconfiguration<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(found; id, title, message, severity, status, cause_metadata),
    );
    if found.status.text() == "PASS" {
        session.leave_out_record("result-without-problem", element, "is a check that passed");
        return Ok(());
    }
    let rule = match (found.id.text(), found.advisory.text()) {
        ("", "") => {
            session.lose_record("record-without-rule", element, "has no `ID`");
            return Ok(());
        }
        ("", advisory) => advisory,
        (id, _) => id,
    };
    let raw = found.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = FindingBuilder::new("trivy", rule)
        .title(found.title.text())
        .message(match found.message.text() {
            "" => found.description.text(),
            message => message,
        })
        .severity(severity, raw)
        .category("misconfiguration")
        .tag(&found.kind.text().to_lowercase())
        .remediation(found.resolution.text())
        .reference(found.primary_url.text());
    for address in found.references.texts() {
        finding = finding.reference(address);
    }
    if found.status.text() == "EXCEPTION" {
        // of the user's own policy, which stands beside the code
        finding = finding.suppression("external", "");
    }
    if !matches!(found.advisory.text(), "" | "N/A") && found.advisory.text() != rule {
        finding = finding.extra_text("advisory", found.advisory.text());
    }
    let none = Cause::default();
    let cause = found.cause_metadata.object().unwrap_or(&none);
    if !cause.resource.text().is_empty() {
        finding = finding.extra_text("resource", cause.resource.text());
    }
    let snippet = snippet(cause.code.object());
    let mut finding = target.put(finding);
    finding = place::at(finding, session, element, &target.path, cause.region(), &snippet);
    // Where the module is used that has the cause in it.
    for used in cause.occurrences.objects() {
        let none = Lines::default();
        let region = region(used.location.object().unwrap_or(&none));
        finding = place::at(finding, session, element, used.filename.text(), region, "");
    }
    session.emit(finding, element)
}

impl Cause<'_> {
    fn region(&self) -> Region {
        region_of(&self.start_line, &self.end_line)
    }
}

fn region(lines: &Lines) -> Region {
    region_of(&lines.start_line, &lines.end_line)
}

/// Line 0 says that there is none.
fn region_of(start: &Whole, end: &Whole) -> Region {
    let line = |line: &Whole| line.get().copied().filter(|line| *line != 0);
    Region {
        line: line(start),
        end_line: line(end),
        ..Region::default()
    }
}

/// The lines that are the cause, without those around them.
fn snippet(code: Option<&Code<'_>>) -> String {
    let lines = code.map_or(&[][..], |code| code.lines.objects());
    let causes = lines.iter().filter(|line| line.is_cause.get() == Some(&true));
    let texts: Vec<_> = causes.take(LINES_MAX).map(|line| line.content.text()).collect();
    texts.join("\n")
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Secret<'a> {
    #[serde(borrow, rename = "RuleID")]
    rule_id: Text<'a>,
    #[serde(borrow)]
    category: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    start_line: Whole,
    end_line: Whole,
    #[serde(borrow, rename = "Match")]
    censored: Text<'a>,
}

fn secret(session: &mut Session<'_>, element: &Element<'_>, target: &Target) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Secret<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(found; rule_id, severity, title, start_line, censored),
    );
    if found.rule_id.text().is_empty() {
        session.lose_record("record-without-rule", element, "has no `RuleID`");
        return Ok(());
    }
    let raw = found.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let finding = FindingBuilder::new("trivy", found.rule_id.text())
        .message(found.title.text())
        .severity(severity, raw)
        .category("secret")
        .tag(&found.category.text().to_lowercase())
        .cwe(super::secret::CWE);
    let region = region_of(&found.start_line, &found.end_line);
    // Only what has trivy's stars is known to be without the secret.
    let shown = if found.censored.text().contains("***") {
        found.censored.text()
    } else {
        ""
    };
    let finding = target.put(finding);
    let finding = place::at(finding, session, element, &target.path, region, shown);
    session.emit(finding, element)
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct License<'a> {
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    category: Text<'a>,
    #[serde(borrow)]
    pkg_name: Text<'a>,
    #[serde(borrow)]
    file_path: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    link: Text<'a>,
}

fn license(session: &mut Session<'_>, element: &Element<'_>, target: &Target) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<License<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(found; severity, category, pkg_name, name));
    if found.name.text().is_empty() {
        session.lose_record("record-without-rule", element, "names no licence");
        return Ok(());
    }
    let raw = found.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let (package, name) = (found.pkg_name.text(), found.name.text());
    let path = match found.file_path.text() {
        "" => target.path.as_str(),
        path => path,
    };
    let subject = if package.is_empty() { path } else { package };
    let title = format!("{subject} is under {name} ({})", found.category.text());
    let mut finding = FindingBuilder::new("trivy", &format!("license-{name}"))
        .title(&title)
        .severity(severity, raw)
        .category("license")
        .tag(found.category.text())
        .reference(found.link.text());
    if !package.is_empty() {
        finding = finding.extra_text("package", package);
    }
    let finding = target.put(finding);
    let finding = place::at(finding, session, element, path, Region::default(), "");
    session.emit(finding, element)
}
