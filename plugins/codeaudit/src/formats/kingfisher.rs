//! Kingfisher's JSON (seen: 2.14.0): `{"findings": [{"rule", "finding"}], "metadata"}`, and its JSON lines,
//! which are the same records.
//!
//! `snippet` is the secret itself; `validate_command`, `blast_radius_command` and `dependent_captures`
//! quote secrets too and are not read.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Object, Text, Whole};
use tamiz_sdk::redact;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, json_lines, small_object,
};
use tamiz_sdk::vocabulary::confidence;

use super::place::{self, Region};
use super::{secret, walk, wrong};

pub(super) struct Kingfisher;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    rule: Field<Object<Rule<'a>>>,
    #[serde(borrow)]
    finding: Field<Object<Leak<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Leak<'a> {
    #[serde(borrow)]
    snippet: Text<'a>,
    #[serde(borrow)]
    fingerprint: Text<'a>,
    #[serde(borrow)]
    confidence: Text<'a>,
    #[serde(borrow)]
    validation: Field<Object<Validation<'a>>>,
    line: Whole,
    column_start: Whole,
    column_end: Whole,
    #[serde(borrow)]
    path: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Validation<'a> {
    #[serde(borrow)]
    status: Text<'a>,
}

impl Format for Kingfisher {
    fn name(&self) -> &'static str {
        "kingfisher-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["kingfisher"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let has_record = |prefix: &str| {
            let keys = [
                "rule.id",
                "rule.name",
                "finding.snippet",
                "finding.fingerprint",
                "finding.path",
            ];
            let found = keys.iter().filter(|key| head.has(&format!("{prefix}{key}")));
            found.count() >= 3
        };
        let named = head.has("metadata.kingfisher_version");
        (named || has_record("findings[].") || has_record("[].") || has_record("")).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("kingfisher", None);
        if !source.head().has_any(&["findings", "metadata"]) {
            return json_lines(source, session, |session, element| record(session, &element));
        }
        walk::object(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("findings", Kind::Array) => {
                    each(reader, session, "findings", |session, element| {
                        record(session, &element)
                    })?;
                }
                ("metadata", Kind::Object) => {
                    let metadata = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                    session.tool_is("kingfisher", Some(walk::text(&metadata, "kingfisher_version")));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn record(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(record) = element.read_or_lose::<Record<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(record; rule, finding));
    let (no_rule, no_leak) = (Rule::default(), Leak::default());
    let rule = record.rule.object().unwrap_or(&no_rule);
    let leak = record.finding.object().unwrap_or(&no_leak);
    element.tell_wrong(session, wrong!(leak; snippet, confidence, line, path));
    let id = match (rule.id.text(), rule.name.text()) {
        ("", "") => {
            session.lose_record("record-without-rule", element, "names no rule");
            return Ok(());
        }
        ("", name) => name,
        (id, _) => id,
    };
    let status = leak
        .validation
        .object()
        .map_or("", |validation| validation.status.text());
    let works = status.eq_ignore_ascii_case("active credential");
    let severity = if works { secret::VERIFIED } else { secret::FOUND };
    let mut finding = FindingBuilder::new("kingfisher", id)
        .rule_name(rule.name.text())
        .message(rule.description.text())
        .severity(severity, None)
        .cwe(secret::CWE)
        .category("secret");
    if let Some(confidence) = confidence(leak.confidence.text()) {
        finding = finding.confidence(confidence);
    }
    for (key, text) in [
        ("validation", status),
        ("kingfisher-fingerprint", leak.fingerprint.text()),
    ] {
        if !text.is_empty() {
            finding = finding.extra_text(key, text);
        }
    }
    let value = leak.snippet.text();
    let region = Region {
        line: leak.line.get().copied(),
        column: leak.column_start.get().copied(),
        ..Region::default()
    };
    let region = Region {
        end_line: region.line,
        end_column: leak.column_end.get().map(|column| column.saturating_add(1)),
        ..region
    };
    let snippet = if value.is_empty() {
        String::new()
    } else {
        redact(value)
    };
    let finding = place::at(finding, session, element, leak.path.text(), region, &snippet);
    let finding = session.secret(finding, value);
    session.emit(finding, element)
}
