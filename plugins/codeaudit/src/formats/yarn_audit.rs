//! `yarn audit --json` of yarn 1, lines of `{"type", "data"}`: an `auditAdvisory` is a record for each path that
//! leads to the package, with the advisory in npm 6's form, see [`super::npm_audit_six`]; and `yarn npm audit
//! --json` of yarn 4, lines of `{"value": PACKAGE, "children": {"ID", "Issue", "URL", "Severity", …}}`.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Text, Texts, Whole};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};
use tamiz_sdk::vocabulary::advisories as advisories_in;

use super::npm_audit::SEVERITIES;
use super::npm_audit_six::Advisory;
use super::package::{Package, advisories};
use super::wrong;

pub(super) struct YarnAudit;

/// The tool's name.
const TOOL: &str = "yarn audit";

/// What only its lines have.
const MARKS: [&[&str]; 4] = [
    &["\"auditAdvisory\"", "\"advisory\""],
    &["\"auditSummary\"", "\"totalDependencies\""],
    &["\"auditAction\"", "\"resolves\""],
    &["\"children\"", "\"Issue\"", "\"Tree Versions\""],
];

/// What a deprecated package is filed under, which has no advisory.
const DEPRECATION: &str = "deprecation";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    data: Field<Object<Data<'a>>>,
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    children: Field<Object<Issue<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    resolution: Field<Object<Resolution<'a>>>,
    #[serde(borrow)]
    advisory: Field<Object<Advisory<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resolution<'a> {
    id: Whole,
    #[serde(borrow)]
    path: Text<'a>,
}

/// What lines have whose `data` is a text: `error`, `warning`, `info`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    #[serde(borrow)]
    data: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Issue<'a> {
    /// A number, or for deprecations a text.
    #[serde(rename = "ID")]
    number: Whole,
    #[serde(borrow, rename = "Issue")]
    title: Text<'a>,
    #[serde(borrow, rename = "URL")]
    url: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow, rename = "Vulnerable Versions")]
    vulnerable_versions: Text<'a>,
    #[serde(borrow, rename = "Tree Versions")]
    tree_versions: Texts<'a>,
    #[serde(borrow)]
    dependents: Texts<'a>,
}

impl Format for YarnAudit {
    fn name(&self) -> &'static str {
        "yarn-audit-jsonl"
    }

    fn tools(&self) -> &'static [&'static str] {
        &[TOOL]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let kind = head.text("type").unwrap_or_default();
        let talks = matches!(kind, "warning" | "error" | "info") && head.text("data").is_some();
        // Any of the first lines: what stands first may be talk.
        let proof = |line: &str| {
            MARKS
                .iter()
                .any(|marks| marks.iter().all(|mark| line.contains(mark)))
        };
        if head.lines().any(proof) {
            Recognition::Certain
        } else if talks {
            Recognition::Likely
        } else {
            Recognition::No
        }
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut is_proved = false;
        json_lines(source, session, |session, element| {
            line(session, &element, &mut is_proved)
        })?;
        if !is_proved {
            let message = "the report has neither findings nor a summary: the audit did not take place";
            session.gap("nothing-scanned", message, None);
        }
        Ok(())
    }
}

/// One line. Some prove that the registry answered.
fn line(session: &mut Session<'_>, element: &Element<'_>, is_proved: &mut bool) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(line) = element.read_or_lose::<Line<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    *is_proved |= line.kind.text().starts_with("audit") || line.children.object().is_some();
    if let Some(issue) = line.children.object() {
        return advised(session, element, line.value.text(), issue);
    }
    match line.kind.text() {
        // What it counted, and what it would do.
        "auditSummary" | "auditAction" | "warning" | "info" => Ok(()),
        "error" => {
            let mut repaired = Vec::new();
            let said: Said<'_> = element.read(session, &mut repaired).unwrap_or_default();
            let message = format!("the tool reports: {}", said.data.text());
            session.gap("tool-failed", &message, Some(element.span));
            Ok(())
        }
        "auditAdvisory" => advisory(session, element, &line),
        _ => {
            session.lose_record("record-without-rule", element, "is of no known `type`");
            Ok(())
        }
    }
}

fn advisory(session: &mut Session<'_>, element: &Element<'_>, line: &Line<'_>) -> Result<(), Stop> {
    let data = line.data.object();
    let Some(found) = data.and_then(|data| data.advisory.object()) else {
        session.lose_record("record-unreadable", element, "has no `data.advisory`");
        return Ok(());
    };
    let none = Resolution::default();
    let resolution = data.and_then(|data| data.resolution.object()).unwrap_or(&none);
    element.tell_wrong(session, wrong!(resolution; id, path));
    let number = resolution.id.get().map(ToString::to_string).unwrap_or_default();
    let mut finding = found.finding(TOOL, session, element, &number);
    if !resolution.path.text().is_empty() {
        finding = finding.extra_text("path", resolution.path.text());
    }
    session.emit(finding, element)
}

fn advised(
    session: &mut Session<'_>,
    element: &Element<'_>,
    name: &str,
    issue: &Issue<'_>,
) -> Result<(), Stop> {
    element.tell_wrong(session, wrong!(issue; title, url, severity));
    let number = issue.number.get().map(ToString::to_string).unwrap_or_default();
    let id = advisories_in(issue.url.text()).next();
    let rule = match (id, number.as_str()) {
        (Some(id), _) => id,
        (None, "") => DEPRECATION,
        (None, number) => number,
    };
    let raw = issue.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let versions: Vec<&str> = issue.tree_versions.texts().collect();
    let package = Package {
        name,
        version: versions.first().copied().unwrap_or_default(),
        ecosystem: "npm",
        ..Package::default()
    };
    let title = format!("{name}: {}", issue.title.text());
    let mut finding = package
        .put(FindingBuilder::new(TOOL, rule))
        .title(&title)
        .message(issue.title.text())
        .severity(severity, raw)
        .category("dependency")
        .tag("npm")
        .reference(issue.url.text());
    let dependents: Vec<&str> = issue.dependents.texts().collect();
    for (key, text) in [
        ("vulnerable-versions", issue.vulnerable_versions.text()),
        ("versions", &versions.join(", ")),
        ("dependents", &dependents.join(", ")),
        ("npm-advisory", &number),
    ] {
        if !text.is_empty() {
            finding = finding.extra_text(key, text);
        }
    }
    session.emit(advisories(finding, id), element)
}
