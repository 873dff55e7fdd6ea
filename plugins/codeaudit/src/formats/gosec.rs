//! gosec's JSON (the shape of its `report/json` and `issue.Issue`, versions 2.0 to 2.22):
//! `{"Golang errors": {FILE: […]}, "Issues": […], "Stats": {…}, "GosecVersion"}`.
//!
//! `line` and `column` are texts, `line` may be a range (`12-14`), and `code` has lines with their numbers.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text};
use tamiz_sdk::model::{LogLevel, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, small_object, small_text,
};
use tamiz_sdk::vocabulary::{SeverityTable, confidence, cwes};

use super::place::{self, Region};
use super::{walk, wrong};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "gosec",
    words: &[
        ("HIGH", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
        ("UNDEFINED", Severity::Info),
    ],
};

pub(super) struct Gosec;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Issue<'a> {
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    confidence: Text<'a>,
    #[serde(borrow)]
    cwe: Field<Object<Weakness<'a>>>,
    #[serde(borrow)]
    rule_id: Text<'a>,
    #[serde(borrow)]
    details: Text<'a>,
    #[serde(borrow)]
    file: Text<'a>,
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    line: Text<'a>,
    #[serde(borrow)]
    column: Text<'a>,
    #[serde(borrow)]
    suppressions: Field<Objects<Suppression<'a>>>,
    nosec: Field<bool>,
    #[serde(borrow)]
    autofix: Text<'a>,
}

/// Older versions write `ID` and `URL`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Weakness<'a> {
    #[serde(borrow, alias = "ID")]
    id: Text<'a>,
    #[serde(borrow, alias = "URL")]
    url: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Suppression<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    justification: Text<'a>,
}

impl Format for Gosec {
    fn name(&self) -> &'static str {
        "gosec-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["gosec"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let envelope = head.count(&["Issues", "Golang errors", "Stats", "GosecVersion"]) >= 2;
        let record = [
            "Issues[].rule_id",
            "Issues[].details",
            "Issues[].severity",
            "Issues[].confidence",
        ];
        (envelope || head.count(&record) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("gosec", None);
        walk::object(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("Issues", Kind::Array) => {
                    each(reader, session, "Issues", |session, element| {
                        issue(session, &element)
                    })?;
                }
                ("Golang errors", Kind::Object) => {
                    members(reader, session, |reader, session, file, kind| {
                        if kind != Kind::Array {
                            return Ok(false);
                        }
                        walk::gaps(reader, session, file, |error| {
                            format!("{file}: {}", walk::text(error, "error"))
                        })?;
                        Ok(true)
                    })?;
                }
                ("Stats", Kind::Object) => {
                    let stats = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                    match stats.get("files").and_then(serde_json::Value::as_u64) {
                        Some(0) => {
                            let message =
                                "the tool looked at no file: no result says nothing about the target";
                            session.tell(LogLevel::Warn, "nothing-scanned", message, None);
                        }
                        Some(_) => session.covered(),
                        None => {}
                    }
                }
                ("GosecVersion", _) => {
                    let version = small_text(reader)?;
                    session.tool_is("gosec", version.as_deref());
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn issue(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(issue) = element.read_or_lose::<Issue<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(issue; severity, confidence, cwe, rule_id, details, file, code, line),
    );
    let rule = issue.rule_id.text();
    if rule.is_empty() {
        session.lose_record("record-without-rule", element, "names no rule in `rule_id`");
        return Ok(());
    }
    let raw = issue.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = FindingBuilder::new("gosec", rule)
        .message(issue.details.text())
        .severity(severity, raw)
        .category("security")
        // What a language model advises, in words around its code.
        .remediation(issue.autofix.text());
    if let Some(confidence) = confidence(issue.confidence.text()) {
        finding = finding.confidence(confidence);
    }
    if let Some(weakness) = issue.cwe.object() {
        finding = finding.reference(weakness.url.text());
        for number in cwes(weakness.id.text()).chain(cwes(weakness.url.text())) {
            finding = finding.cwe(number);
        }
    }
    let suppressions = issue.suppressions.objects();
    for said in suppressions {
        finding = finding.suppression(said.kind.text(), said.justification.text());
    }
    if suppressions.is_empty() && issue.nosec.get() == Some(&true) {
        finding = finding.suppression("inSource", "");
    }
    let line = issue.line.text();
    let (first, last) = line.split_once('-').unwrap_or((line, ""));
    let region = Region {
        line: first.trim().parse().ok(),
        column: issue.column.text().trim().parse().ok(),
        end_line: last.trim().parse().ok(),
        end_column: None,
    };
    let code = place::numbered_lines(issue.code.text(), &region);
    let finding = place::at(finding, session, element, issue.file.text(), region, &code);
    session.emit(finding, element)
}
