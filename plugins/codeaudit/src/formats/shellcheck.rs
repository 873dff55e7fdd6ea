//! `ShellCheck`'s two JSON formats (seen: 0.9.0 to 0.11; before 0.5 without the ends and `fix`): `json1` is `{"comments": […]}`, `json` the array alone.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Text, Whole};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Shape, Source, Stop, each};
use tamiz_sdk::vocabulary::SeverityTable;

use super::place::Region;
use super::source::Sources;
use super::{walk, wrong};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "shellcheck",
    words: &[
        ("error", Severity::High),
        ("warning", Severity::Medium),
        ("info", Severity::Low),
        ("style", Severity::Info),
    ],
};

pub(super) struct Shellcheck;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Comment<'a> {
    #[serde(borrow)]
    file: Text<'a>,
    line: Whole,
    end_line: Whole,
    column: Whole,
    end_column: Whole,
    #[serde(borrow)]
    level: Text<'a>,
    code: Whole,
    #[serde(borrow)]
    message: Text<'a>,
}

impl Format for Shellcheck {
    fn name(&self) -> &'static str {
        "shellcheck-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["shellcheck"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = ["file", "line", "endLine", "endColumn", "level", "code", "fix"];
        let listed = keys.iter().filter(|key| head.has(&format!("[].{key}"))).count();
        let within = keys
            .iter()
            .filter(|key| head.has(&format!("comments[].{key}")))
            .count();
        // Before 0.5 it had nothing but what hadolint has, too, whose codes are texts.
        let oldest = head.has_all(&["[].file", "[].line", "[].level", "[].message"])
            && head.kind("[].code") == Some(Kind::Number);
        let empty = head.kind("comments") == Some(Kind::Array) && !head.has("comments[]");
        (listed >= 5 || oldest || within >= 4 || empty).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("shellcheck", None);
        let mut sources = Sources::default();
        if source.head().shape() == Shape::Array {
            return walk::list(source, session, |session, element| {
                comment(session, &element, &mut sources)
            });
        }
        walk::object(source, session, |reader, session, key, kind| {
            if (key, kind) != ("comments", Kind::Array) {
                return Ok(false);
            }
            each(reader, session, "comments", |session, element| {
                comment(session, &element, &mut sources)
            })?;
            Ok(true)
        })
    }
}

fn comment(session: &mut Session<'_>, element: &Element<'_>, sources: &mut Sources) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(comment) = element.read_or_lose::<Comment<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(comment; file, line, level, code, message));
    let Some(code) = comment.code.get() else {
        session.lose_record("record-without-rule", element, "has no number in `code`");
        return Ok(());
    };
    let rule = format!("SC{code}");
    let raw = comment.level.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let finding = FindingBuilder::new("shellcheck", &rule)
        .message(comment.message.text())
        .severity(severity, raw)
        .reference(&format!("https://www.shellcheck.net/wiki/{rule}"));
    let region = Region::of(
        &comment.line,
        &comment.column,
        &comment.end_line,
        &comment.end_column,
    );
    let finding = sources.at(finding, session, element, comment.file.text(), region, "");
    session.emit(finding, element)
}
