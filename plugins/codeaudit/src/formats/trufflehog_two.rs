//! `truffleHog` of version 2 (the Python program): objects of a commit, a file and the strings found, as
//! lines, one after the other, or in an array. The shape is that of its README and of `print_results`.
//!
//! `diff` and `printDiff` quote secrets among colours and are not kept; one record may have several
//! strings (`stringsFound`), whose common identity is that of all of them.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Text, Texts};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};

use super::place::{self, Region};
use super::{secret, wrong};

pub(super) struct TrufflehogTwo;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Leak<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    branch: Text<'a>,
    #[serde(borrow)]
    commit_hash: Text<'a>,
    #[serde(borrow)]
    date: Text<'a>,
    #[serde(borrow)]
    strings_found: Texts<'a>,
}

impl Format for TrufflehogTwo {
    fn name(&self) -> &'static str {
        "trufflehog2-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["trufflehog"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "stringsFound",
            "printDiff",
            "commitHash",
            "reason",
            "diff",
            "branch",
        ];
        let in_list = keys.map(|key| format!("[].{key}"));
        let listed = in_list.iter().filter(|key| head.has(key)).count();
        (head.count(&keys) >= 4 || listed >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("trufflehog", None);
        json_lines(source, session, |session, element| record(session, &element))
    }
}

fn record(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(leak) = element.read_or_lose::<Leak<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(leak; reason, path, strings_found));
    let rule = leak.reason.text();
    if rule.is_empty() {
        session.lose_record("record-without-rule", element, "says no `reason`");
        return Ok(());
    }
    // The order of the strings is that of a set.
    let mut values: Vec<&str> = leak.strings_found.texts().collect();
    values.sort_unstable();
    let path = secret::without(leak.path.text(), &values);
    let mut finding = FindingBuilder::new("trufflehog", rule)
        .title(&format!("{rule} in {path}"))
        .severity(secret::FOUND, None)
        .cwe(secret::CWE)
        .category("secret")
        .extra_json("strings-found", &values.len().to_string());
    for (key, text) in [
        ("branch", leak.branch.text()),
        ("commit", leak.commit_hash.text()),
        ("date", leak.date.text()),
    ] {
        if !text.is_empty() {
            finding = finding.extra_text(key, &secret::without(text, &values));
        }
    }
    let finding = place::at(finding, session, element, &path, Region::default(), "");
    let finding = session.secret(finding, &values.join("\n"));
    session.emit(finding, element)
}
