//! Hadolint's JSON, an array (seen: 2.15.1). Codes are its own (`DL…`) or shellcheck's (`SC…`).

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Text, Whole};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop};
use tamiz_sdk::vocabulary::SeverityTable;

use super::place::Region;
use super::source::Sources;
use super::{walk, wrong};

/// As for its SARIF.
pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "hadolint",
    words: &[
        ("error", Severity::High),
        ("warning", Severity::Medium),
        ("info", Severity::Low),
        ("style", Severity::Low),
        ("ignore", Severity::Info),
    ],
};

/// What it files a Dockerfile under that it cannot parse.
const UNPARSED: &str = "DL1000";

pub(super) struct Hadolint;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Issue<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    file: Text<'a>,
    #[serde(borrow)]
    level: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    line: Whole,
    column: Whole,
}

impl Format for Hadolint {
    fn name(&self) -> &'static str {
        "hadolint-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["hadolint"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "[].code",
            "[].file",
            "[].level",
            "[].line",
            "[].column",
            "[].message",
        ];
        let others = ["[].endLine", "[].endColumn", "[].fix", "[].path", "[].filename"];
        let is_shellcheck = head.kind("[].code") == Some(Kind::Number);
        (head.count(&keys) >= 5 && !head.has_any(&others) && !is_shellcheck).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("hadolint", None);
        let mut sources = Sources::default();
        walk::list(source, session, |session, element| {
            issue(session, &element, &mut sources)
        })
    }
}

fn issue(session: &mut Session<'_>, element: &Element<'_>, sources: &mut Sources) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(issue) = element.read_or_lose::<Issue<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(issue; code, file, level, message, line));
    let rule = issue.code.text();
    if rule.is_empty() {
        session.lose_record("record-without-rule", element, "names no `code`");
        return Ok(());
    }
    if rule == UNPARSED {
        let message = format!(
            "{} could not be read: {}",
            issue.file.text(),
            issue.message.text()
        );
        session.gap("tool-error", &message, Some(element.span));
    }
    let raw = issue.level.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let page = match rule.get(..2) {
        Some("DL") => format!("https://github.com/hadolint/hadolint/wiki/{rule}"),
        Some("SC") => format!("https://www.shellcheck.net/wiki/{rule}"),
        _ => String::new(),
    };
    let finding = FindingBuilder::new("hadolint", rule)
        .message(issue.message.text())
        .severity(severity, raw)
        .category("misconfiguration")
        .reference(&page);
    let region = Region {
        line: issue.line.get().copied(),
        column: issue.column.get().copied(),
        ..Region::default()
    };
    let finding = sources.at(finding, session, element, issue.file.text(), region, "");
    session.emit(finding, element)
}
