//! `ESLint`'s JSON (seen: 8.57.1): an array of files, each with its `messages`.
//!
//! A file that could not be parsed is a message without a rule that is `fatal`: no problem of the file but
//! a gap. What comments in the source suppress stands in `suppressedMessages` and is kept, marked.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text, Whole};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_text,
};
use tamiz_sdk::vocabulary::SeverityTable;

use super::place::Region;
use super::source::Sources;
use super::{walk, wrong};

/// As for its SARIF.
pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "eslint",
    words: &[
        ("2", Severity::High),
        ("1", Severity::Medium),
        ("0", Severity::Info),
    ],
};

/// What a message without a rule is filed under: an unused comment that disables one.
const NO_RULE: &str = "no-rule";

pub(super) struct Eslint;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Problem<'a> {
    #[serde(borrow)]
    rule_id: Text<'a>,
    severity: Whole,
    fatal: Field<bool>,
    #[serde(borrow)]
    message: Text<'a>,
    line: Whole,
    column: Whole,
    end_line: Whole,
    end_column: Whole,
    #[serde(borrow)]
    suggestions: Field<Objects<Suggestion<'a>>>,
    #[serde(borrow)]
    suppressions: Field<Objects<Suppression<'a>>>,
    #[serde(borrow)]
    fix: Field<Object<Fix<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Suggestion<'a> {
    #[serde(borrow)]
    desc: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Suppression<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    justification: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fix<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

impl Format for Eslint {
    fn name(&self) -> &'static str {
        "eslint-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["eslint"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "[].filePath",
            "[].messages",
            "[].errorCount",
            "[].warningCount",
            "[].suppressedMessages",
            "[].messages[].ruleId",
            "[].messages[].severity",
        ];
        let within: Vec<String> = keys.iter().map(|key| format!("results{key}")).collect();
        let within = within.iter().filter(|key| head.has(key)).count();
        (head.count(&keys) >= 3 || within >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("eslint", None);
        let mut sources = Sources::default();
        // `json-with-metadata` puts the array beside the rules.
        let is_within = source.head().shape() == Shape::Object;
        let mut reader = source.json()?;
        if is_within {
            members(&mut reader, session, |reader, session, key, kind| {
                if (key, kind) != ("results", Kind::Array) {
                    return Ok(false);
                }
                files(reader, session, key, &mut sources)?;
                Ok(true)
            })?;
        } else {
            files(&mut reader, session, "", &mut sources)?;
        }
        Ok(reader.finish()?)
    }
}

fn files(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    array: &str,
    sources: &mut Sources,
) -> Result<(), Stop> {
    objects(reader, session, array, |reader, session, name| {
        // each file that was looked at, also one without a message
        session.covered();
        // The tool writes it in front of the messages, which otherwise wait for it.
        let mut file: Option<String> = None;
        let mut kept = Vec::new();
        let end = members(reader, session, |reader, session, key, kind| {
            match (key, kind, &file) {
                ("filePath", ..) => file = Some(small_text(reader)?.unwrap_or_default()),
                ("messages" | "suppressedMessages", Kind::Array, Some(file)) => {
                    let array = format!("{name}.{key}");
                    each(reader, session, &array, |session, element| {
                        message(session, &element, file, sources)
                    })?;
                }
                ("messages" | "suppressedMessages", Kind::Array, None) => {
                    walk::keep(reader, session, &format!("{name}.{key}"), &mut kept)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        });
        let file = file.unwrap_or_default();
        for one in &kept {
            message(session, &one.element(), &file, sources)?;
        }
        end
    })
}

fn message(
    session: &mut Session<'_>,
    element: &Element<'_>,
    file: &str,
    sources: &mut Sources,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(message) = element.read_or_lose::<Problem<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(message; rule_id, severity, message, line, column));
    let rule = match message.rule_id.text() {
        "" if message.fatal.get() == Some(&true) => {
            let why = format!("says that {file} could not be read: {}", message.message.text());
            session.gap_record("file-unread", element, &why);
            return Ok(());
        }
        "" => NO_RULE,
        rule => rule,
    };
    let raw = message.severity.get().map(ToString::to_string);
    let severity = session.severity(&SEVERITIES, raw.as_deref(), element);
    let mut finding = FindingBuilder::new("eslint", rule)
        .message(message.message.text())
        .severity(severity, raw.as_deref());
    if rule.contains("security") || rule.contains("no-unsanitized") || rule.contains("eval") {
        finding = finding.category("security");
    }
    let suggestion = message
        .suggestions
        .objects()
        .first()
        .map_or("", |first| first.desc.text());
    finding = finding
        .remediation(suggestion)
        .fix(message.fix.object().map_or("", |fix| fix.text.text()));
    for said in message.suppressions.objects() {
        finding = finding.suppression(said.kind.text(), said.justification.text());
    }
    let region = Region::of(
        &message.line,
        &message.column,
        &message.end_line,
        &message.end_column,
    );
    let finding = sources.at(finding, session, element, file, region, "");
    session.emit(finding, element)
}
