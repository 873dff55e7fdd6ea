//! Gitleaks' JSON, an array (seen: 8.16.0; the names of versions 2 to 7, such as `offender`, are known too, and
//! the objects that those print one after the other).
//!
//! Its `Fingerprint` is commit, file, rule and line, so it changes when lines move: it is kept as
//! `gitleaks-fingerprint`, and the secret's keyed hash is the finding's identity. The commit's message may quote
//! secrets and is not kept.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Text, Texts, Whole};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};

use super::place::{self, Region};
use super::{secret, wrong};

pub(super) struct Gitleaks;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Leak<'a> {
    #[serde(borrow, rename = "RuleID", alias = "rule")]
    rule_id: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow, alias = "offender")]
    secret: Text<'a>,
    #[serde(borrow, rename = "Match", alias = "line")]
    quoted: Text<'a>,
    #[serde(borrow, alias = "file")]
    file: Text<'a>,
    #[serde(alias = "lineNumber")]
    start_line: Whole,
    end_line: Whole,
    start_column: Whole,
    end_column: Whole,
    #[serde(borrow, alias = "commit")]
    commit: Text<'a>,
    #[serde(borrow, alias = "author")]
    author: Text<'a>,
    #[serde(borrow, alias = "date")]
    date: Text<'a>,
    #[serde(borrow, alias = "leakURL")]
    link: Text<'a>,
    /// A list; before version 8 one text with commas.
    #[serde(borrow, alias = "tags")]
    tags: Texts<'a>,
    #[serde(borrow)]
    fingerprint: Text<'a>,
}

impl Format for Gitleaks {
    fn name(&self) -> &'static str {
        "gitleaks-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["gitleaks", "betterleaks"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let now = ["RuleID", "Secret", "Match", "Fingerprint", "StartLine"];
        let before = ["offender", "rule", "lineNumber", "leakURL", "commitMessage"];
        let count = |keys: &[&str], prefix: &str| {
            let has = |key: &&&str| head.has(&format!("{prefix}{key}"));
            keys.iter().filter(has).count()
        };
        let is_list = count(&now, "[].") >= 2 || count(&before, "[].") >= 2;
        (is_list || count(&now, "") >= 3 || count(&before, "") >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("gitleaks", None);
        json_lines(source, session, |session, element| leak(session, &element))
    }
}

fn leak(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(leak) = element.read_or_lose::<Leak<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(leak; rule_id, secret, quoted, file, start_line, description),
    );
    let rule = leak.rule_id.text();
    if rule.is_empty() {
        session.lose_record("record-without-rule", element, "names no rule in `RuleID`");
        return Ok(());
    }
    let value = leak.secret.text();
    let mut finding = FindingBuilder::new("gitleaks", rule)
        .message(&secret::without(leak.description.text(), &[value]))
        .severity(secret::FOUND, None)
        .cwe(secret::CWE)
        .category("secret")
        .reference(&secret::without(leak.link.text(), &[value]));
    for tag in leak.tags.texts().flat_map(|tags| tags.split(',')) {
        finding = finding.tag(&secret::without(tag, &[value]));
    }
    for (key, text) in [
        ("commit", leak.commit.text()),
        ("author", leak.author.text()),
        ("date", leak.date.text()),
        ("gitleaks-fingerprint", leak.fingerprint.text()),
    ] {
        // Without a commit the date is the year 1.
        if !text.is_empty() && !text.starts_with("0001-01-01") {
            finding = finding.extra_text(key, &secret::without(text, &[value]));
        }
    }
    let region = Region::of(
        &leak.start_line,
        &leak.start_column,
        &leak.end_line,
        &leak.end_column,
    );
    let snippet = secret::hidden_snippet(leak.quoted.text(), value);
    let path = secret::without(leak.file.text(), &[value]);
    let finding = place::at(finding, session, element, &path, region, &snippet);
    let finding = session.secret(finding, value);
    session.emit(finding, element)
}
