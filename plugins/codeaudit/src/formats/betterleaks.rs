//! Betterleaks' JSON (seen: 2.0.0): `{"schema_version", "findings": […], "scan": {…}}`. With its option for
//! gitleaks' form it writes that.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Object, Text, Whole};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, small_object, span_since,
};
use tamiz_sdk::vocabulary::confidence;

use super::place::{self, Region};
use super::{secret, walk, wrong};

pub(super) struct Betterleaks;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Leak<'a> {
    #[serde(borrow)]
    rule_id: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    confidence: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow, rename = "match")]
    matched: Field<Object<Match<'a>>>,
    #[serde(borrow)]
    location: Field<Object<Place<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Match<'a> {
    #[serde(borrow)]
    full: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place<'a> {
    #[serde(borrow)]
    path: Text<'a>,
    start_line: Whole,
    start_column: Whole,
    end_line: Whole,
    end_column: Whole,
}

impl Format for Betterleaks {
    fn name(&self) -> &'static str {
        "betterleaks-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["betterleaks"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "schema_version",
            "findings",
            "scan.betterleaks_version",
            "findings[].rule_id",
            "findings[].rule_hash",
            "findings[].match.value",
            "findings[].location.path",
        ];
        (head.has("scan.betterleaks_version") || head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("betterleaks", None);
        walk::object(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("findings", Kind::Array) => {
                    each(reader, session, "findings", |session, element| {
                        leak(session, &element)
                    })?;
                }
                ("scan", Kind::Object) => {
                    let start = reader.offset();
                    // What the run says about itself; it stands behind the findings.
                    let scan = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                    session.tool_is("betterleaks", Some(walk::text(&scan, "betterleaks_version")));
                    let state = walk::text(&scan, "state");
                    if !matches!(state, "" | "complete") {
                        let message = format!("the tool says that its scan is `{state}`");
                        let at = Some(span_since(reader, start));
                        session.gap("tool-failed", &message, at);
                    }
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn leak(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(leak) = element.read_or_lose::<Leak<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(leak; rule_id, description, confidence, matched, location),
    );
    if leak.rule_id.text().is_empty() {
        session.lose_record("record-without-rule", element, "names no rule in `rule_id`");
        return Ok(());
    }
    let (no_match, no_place) = (Match::default(), Place::default());
    let matched = leak.matched.object().unwrap_or(&no_match);
    let location = leak.location.object().unwrap_or(&no_place);
    let value = matched.value.text();
    let works = leak.status.text() == "valid";
    let severity = if works { secret::VERIFIED } else { secret::FOUND };
    let mut finding = FindingBuilder::new("betterleaks", leak.rule_id.text())
        .message(leak.description.text())
        .severity(severity, None)
        .cwe(secret::CWE)
        .category("secret");
    if let Some(confidence) = confidence(leak.confidence.text()) {
        finding = finding.confidence(confidence);
    }
    if !leak.status.text().is_empty() {
        finding = finding.extra_text("validation", leak.status.text());
    }
    let region = Region::of(
        &location.start_line,
        &location.start_column,
        &location.end_line,
        &location.end_column,
    );
    let snippet = secret::hidden_snippet(matched.full.text(), value);
    let path = secret::without(location.path.text(), &[value]);
    let finding = place::at(finding, session, element, &path, region, &snippet);
    let finding = session.secret(finding, value);
    session.emit(finding, element)
}
