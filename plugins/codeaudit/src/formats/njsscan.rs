//! njsscan's JSON and mobsfscan's (seen: 1.0.2 and 1.1.0): rules as the members of `nodejs` and
//! `templates`, or of `results`, each with its `files` and, behind them, `metadata`.
//!
//! Each file is a record. A rule without files is one too: mobsfscan says so that an app lacks something.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Text};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, members, small_text, span_since,
};
use tamiz_sdk::vocabulary::{SeverityTable, owasp};

use super::place::{self, Region};
use super::{walk, wrong};
use crate::weaknesses::Weaknesses;

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "njsscan, mobsfscan",
    words: &[
        ("ERROR", Severity::High),
        ("WARNING", Severity::Medium),
        ("INFO", Severity::Low),
    ],
};

pub(super) struct Njsscan;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata<'a> {
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    cwe: Field<Weaknesses>,
    #[serde(borrow)]
    owasp: Text<'a>,
    #[serde(borrow)]
    owasp_web: Text<'a>,
    #[serde(borrow)]
    owasp_mobile: Text<'a>,
    #[serde(borrow)]
    masvs: Text<'a>,
    #[serde(borrow)]
    reference: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hit<'a> {
    #[serde(borrow)]
    file_path: Text<'a>,
    match_lines: Pair,
    match_position: Pair,
    #[serde(borrow)]
    match_string: Text<'a>,
}

type Pair = Field<Two>;

/// The two numbers of a list.
#[derive(Default)]
struct Two(Option<i64>, Option<i64>);

impl<'de> tamiz_sdk::json::lenient::Lenient<'de> for Two {
    fn from_seq<A: serde::de::SeqAccess<'de>>(mut entries: A) -> Result<Field<Self>, A::Error> {
        let mut numbers = Vec::new();
        while let Some(entry) = entries.next_element::<Field<i64>>()? {
            if numbers.len() < 2 {
                numbers.push(entry.get().copied());
            }
        }
        let number = |index: usize| numbers.get(index).copied().flatten();
        Ok(Field::Present(Self(number(0), number(1))))
    }
}

impl Format for Njsscan {
    fn name(&self) -> &'static str {
        "njsscan-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["njsscan", "mobsfscan"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let named = head.has_any(&["njsscan_version", "mobsfscan_version"]);
        let node =
            head.count(&["nodejs", "templates", "errors"]) >= 2 && head.has_any(&["nodejs", "templates"]);
        let mobile = head.has("results.*.metadata") && head.has("errors");
        (named || node || mobile).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let is_mobile = source.head().has("mobsfscan_version")
            || !source.head().has_any(&["njsscan_version", "nodejs", "templates"]);
        let tool = if is_mobile { "mobsfscan" } else { "njsscan" };
        session.tool_is(tool, None);
        walk::object(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("njsscan_version" | "mobsfscan_version", _) => {
                    let version = small_text(reader)?;
                    session.tool_is(tool, version.as_deref());
                }
                ("errors", Kind::Array) => walk::gaps(reader, session, "errors", |error| {
                    let said = error.as_str().unwrap_or_else(|| walk::text(error, "message"));
                    said.trim().to_owned()
                })?,
                ("nodejs" | "templates" | "results", Kind::Object) => {
                    members(reader, session, |reader, session, name, _| {
                        rule(reader, session, tool, key, name)
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

/// One rule. Its files wait for the metadata behind them, or for the input's early end.
fn rule(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    tool: &str,
    section: &str,
    name: &str,
) -> Result<bool, Stop> {
    let start = reader.offset();
    let place = format!("{section}.{name}");
    if reader.kind()? != Kind::Object {
        let span = reader.skip()?;
        let message = format!("{place} could not be read: it is not an object");
        session.lose("record-unreadable", &message, span);
        return Ok(true);
    }
    let mut files = Vec::new();
    let mut described = Vec::new();
    let end = members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            ("files", Kind::Array) => walk::keep(reader, session, &format!("{place}.files"), &mut files)?,
            ("metadata", Kind::Object) => {
                if let Located::Whole { bytes, .. } = reader.value(RECORD_BYTES)? {
                    described = bytes.to_vec();
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    });
    let whole = Element::named(&place, &described, span_since(reader, start));
    let mut repaired = Vec::new();
    let metadata = if described.is_empty() {
        None
    } else {
        whole.read::<Metadata<'_>>(session, &mut repaired).ok()
    };
    let metadata = metadata.unwrap_or_default();
    if files.is_empty() && end.is_ok() {
        let finding = metadata.finding(session, &whole, tool, name);
        session.emit(finding, &whole)?;
    }
    for file in &files {
        let element = file.element();
        let mut repaired = Vec::new();
        let Some(file) = element.read_or_lose::<Hit<'_>>(session, &mut repaired) else {
            continue;
        };
        element.tell_wrong(session, wrong!(file; file_path, match_lines, match_string));
        let finding = metadata.finding(session, &element, tool, name);
        let finding = file.put(finding, session, &element);
        session.emit(finding, &element)?;
    }
    end.map(|()| true)
}

impl Hit<'_> {
    fn put(
        &self,
        finding: FindingBuilder,
        session: &mut Session<'_>,
        element: &Element<'_>,
    ) -> FindingBuilder {
        let none = Two::default();
        let lines = self.match_lines.get().unwrap_or(&none);
        let columns = self.match_position.get().unwrap_or(&none);
        let region = Region {
            line: lines.0,
            column: columns.0,
            end_line: lines.1,
            end_column: columns.1,
        };
        let lines = self.match_string.text().lines().take(SNIPPET_LINES_MAX);
        let snippet = lines.collect::<Vec<_>>().join("\n");
        place::at(finding, session, element, self.file_path.text(), region, &snippet)
    }
}

/// Matches may span a whole file.
const SNIPPET_LINES_MAX: usize = 20;

impl Metadata<'_> {
    fn finding(
        &self,
        session: &mut Session<'_>,
        record: &Element<'_>,
        tool: &str,
        name: &str,
    ) -> FindingBuilder {
        let raw = self.severity.get().map(AsRef::as_ref);
        let severity = session.severity(&SEVERITIES, raw, record);
        let mut finding = FindingBuilder::new(tool, name)
            .message(self.description.text())
            .severity(severity, raw)
            .category("security")
            .reference(self.reference.text());
        for &number in self.cwe.get().map_or(&[][..], |cwe| cwe.numbers.as_slice()) {
            finding = finding.cwe(number);
        }
        for text in [&self.owasp, &self.owasp_web, &self.owasp_mobile] {
            if !text.text().is_empty() {
                finding = finding.tag(owasp(text.text()).as_deref().unwrap_or(text.text()));
            }
        }
        finding.tag(self.masvs.text())
    }
}

#[cfg(test)]
mod tests {
    use super::Hit;

    #[test]
    fn pairs_of_any_length_are_read() {
        for (text, expected) in [
            (r#"{"match_lines":[3,4]}"#, Some((Some(3), Some(4)))),
            (r#"{"match_lines":[3]}"#, Some((Some(3), None))),
            (r#"{"match_lines":["x",4,5]}"#, Some((None, Some(4)))),
            (r#"{"match_lines":7}"#, None),
        ] {
            let file: Hit<'_> = serde_json::from_str(text).expect(text);
            assert_eq!(file.match_lines.get().map(|pair| (pair.0, pair.1)), expected);
        }
    }
}
