//! Bandit's JSON (seen: 1.9.4; older ones lack `issue_cwe` and the columns):
//! `{"errors": [{"filename", "reason"}], "generated_at", "metrics", "results": […]}`.
//!
//! It does not name its version. A missing folder is an entry of `errors`, with exit code 0.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Object, Text, Whole};
use tamiz_sdk::model::{LogLevel, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, span_since,
};
use tamiz_sdk::vocabulary::{SeverityTable, confidence, cwes};

use super::place::{self, Region};
use super::{walk, wrong};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "bandit",
    words: &[
        ("HIGH", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
        ("UNDEFINED", Severity::Info),
    ],
};

pub(super) struct Bandit;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hit<'a> {
    #[serde(borrow)]
    test_id: Text<'a>,
    #[serde(borrow)]
    test_name: Text<'a>,
    #[serde(borrow)]
    filename: Text<'a>,
    line_number: Whole,
    line_range: Field<Lines>,
    col_offset: Whole,
    end_col_offset: Whole,
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    issue_text: Text<'a>,
    #[serde(borrow)]
    issue_severity: Text<'a>,
    #[serde(borrow)]
    issue_confidence: Text<'a>,
    #[serde(borrow)]
    issue_cwe: Field<Object<Weakness<'a>>>,
    #[serde(borrow)]
    more_info: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Weakness<'a> {
    id: Whole,
    #[serde(borrow)]
    link: Text<'a>,
}

/// The largest number of a list.
struct Lines(i64);

impl<'de> tamiz_sdk::json::lenient::Lenient<'de> for Lines {
    fn from_seq<A: serde::de::SeqAccess<'de>>(mut entries: A) -> Result<Field<Self>, A::Error> {
        let mut last = None;
        while let Some(entry) = entries.next_element::<Whole>()? {
            last = last.max(entry.get().copied());
        }
        Ok(last.map_or(Field::Absent, |last| Field::Present(Self(last))))
    }
}

impl Format for Bandit {
    fn name(&self) -> &'static str {
        "bandit-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["bandit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let envelope = head.count(&["errors", "generated_at", "metrics", "results"]) >= 3;
        let record = head.count(&[
            "results[].test_id",
            "results[].test_name",
            "results[].issue_text",
            "results[].issue_severity",
        ]) >= 2;
        (record || envelope && head.has("metrics")).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("bandit", None);
        walk::object(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("results", Kind::Array) => {
                    each(reader, session, "results", |session, element| {
                        issue(session, &element)
                    })?;
                }
                ("errors", Kind::Array) => walk::gaps(reader, session, "errors", |error| {
                    format!(
                        "{}: {}",
                        walk::text(error, "filename"),
                        walk::text(error, "reason")
                    )
                })?,
                ("metrics", Kind::Object) => {
                    let start = reader.offset();
                    let mut files = 0_u32;
                    members(reader, session, |_, _, key, _| {
                        files = files.saturating_add(u32::from(key != "_totals"));
                        Ok(false)
                    })?;
                    if files == 0 {
                        let message = "the tool looked at no file: no result says nothing about the target";
                        let at = Some(span_since(reader, start));
                        session.tell(LogLevel::Warn, "nothing-scanned", message, at);
                    } else {
                        session.covered();
                    }
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn issue(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(issue) = element.read_or_lose::<Hit<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(issue; test_id, filename, line_number, issue_text, issue_severity, issue_confidence, issue_cwe, code),
    );
    let rule = match (issue.test_id.text(), issue.test_name.text()) {
        ("", "") => {
            session.lose_record("record-without-rule", element, "names no test");
            return Ok(());
        }
        ("", name) => name,
        (id, _) => id,
    };
    let raw = issue.issue_severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = FindingBuilder::new("bandit", rule)
        .rule_name(issue.test_name.text())
        .message(issue.issue_text.text())
        .severity(severity, raw)
        .category("security")
        .reference(issue.more_info.text());
    if let Some(confidence) = confidence(issue.issue_confidence.text()) {
        finding = finding.confidence(confidence);
    }
    if let Some(weakness) = issue.issue_cwe.object() {
        let id = weakness.id.get().map(ToString::to_string).unwrap_or_default();
        for number in cwes(&id).chain(cwes(weakness.link.text())) {
            finding = finding.cwe(number);
        }
    }
    let behind = |column: &Whole| column.get().map(|column| column.saturating_add(1));
    let line = issue.line_number.get().copied();
    let region = Region {
        line,
        column: behind(&issue.col_offset),
        end_line: issue.line_range.get().map(|lines| lines.0).or(line),
        end_column: behind(&issue.end_col_offset).filter(|column| *column > 1),
    };
    let code = place::numbered_lines(issue.code.text(), &region);
    let finding = place::at(finding, session, element, issue.filename.text(), region, &code);
    session.emit(finding, element)
}
