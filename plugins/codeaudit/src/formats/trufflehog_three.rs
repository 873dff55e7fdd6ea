//! trufflehog3's JSON of version 3 (another program than [`super::trufflehog`]): an array of `{"rule": {"id",
//! "message", "severity"}, "path", "line", "secret", "context", "id", …}`. Of version 2 it has truffleHog's own
//! form, see [`super::trufflehog_two`].
//!
//! `context` and the commit's `message` quote secrets and are not kept; `id` is made of the secret without a
//! key.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Decimal, Field, Object, Text};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};
use tamiz_sdk::vocabulary::SeverityTable;

use super::place::{self, Region};
use super::{secret, wrong};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "trufflehog3",
    words: &[
        ("HIGH", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
    ],
};

pub(super) struct TrufflehogThree;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Leak<'a> {
    #[serde(borrow)]
    rule: Field<Object<Rule<'a>>>,
    #[serde(borrow)]
    path: Text<'a>,
    /// A number, written as a text.
    line: Field<Decimal>,
    #[serde(borrow)]
    secret: Text<'a>,
    #[serde(borrow)]
    branch: Text<'a>,
    #[serde(borrow)]
    author: Text<'a>,
    #[serde(borrow)]
    commit: Text<'a>,
    #[serde(borrow)]
    date: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
}

impl Format for TrufflehogThree {
    fn name(&self) -> &'static str {
        "trufflehog3-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["trufflehog3"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "[].rule.id",
            "[].rule.message",
            "[].rule.severity",
            "[].secret",
            "[].context",
        ];
        (head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("trufflehog3", None);
        json_lines(source, session, |session, element| record(session, &element))
    }
}

fn record(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(leak) = element.read_or_lose::<Leak<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(leak; rule, path, line, secret));
    let none = Rule::default();
    let rule = leak.rule.object().unwrap_or(&none);
    if rule.id.text().is_empty() {
        session.lose_record("record-without-rule", element, "names no `rule.id`");
        return Ok(());
    }
    let raw = rule.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = FindingBuilder::new("trufflehog3", rule.id.text())
        .message(rule.message.text())
        .severity(severity, raw)
        .cwe(secret::CWE)
        .category("secret");
    for (key, text) in [
        ("branch", leak.branch.text()),
        ("commit", leak.commit.text()),
        ("author", leak.author.text()),
        ("date", leak.date.text()),
    ] {
        if !text.is_empty() {
            finding = finding.extra_text(key, text);
        }
    }
    let line = leak.line.get().map(|line| line.0 as i64);
    let path = secret::without(leak.path.text(), &[leak.secret.text()]);
    let finding = place::at(finding, session, element, &path, Region::line(line), "");
    let finding = session.secret(finding, leak.secret.text());
    session.emit(finding, element)
}
