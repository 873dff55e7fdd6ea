//! cppcheck's XML of version 2 (seen: 2.10), and of version 1, whose errors have the place in attributes:
//! `<results version="2"><cppcheck version=…/><errors><error id= severity= msg= cwe=><location …/></error>`.
//!
//! The first location is where the problem is; the others are the way there and are kept as `trace`.

use serde_json::json;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{Event, Format, Head, Recognition, Session, Source, Stop, XmlRecord, path, walk};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use super::place::Region;
use super::source::Sources;

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "cppcheck",
    words: &[
        ("error", Severity::High),
        ("warning", Severity::Medium),
        ("style", Severity::Low),
        ("performance", Severity::Low),
        ("portability", Severity::Low),
        ("information", Severity::Info),
        ("debug", Severity::Info),
        ("none", Severity::Info),
    ],
};

/// Ids that say that a file, or a part of it, was not looked at.
const GAPS: [&str; 7] = [
    "cppcheckError",
    "internalAstError",
    "internalError",
    "noValidConfiguration",
    "preprocessorErrorDirective",
    "syntaxError",
    "unknownMacro",
];

/// Steps of a trace that are kept.
const STEPS_MAX: usize = 20;

pub(super) struct Cppcheck;

impl Format for Cppcheck {
    fn name(&self) -> &'static str {
        "cppcheck-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["cppcheck"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let inside = ["results.cppcheck", "results.errors", "results.error"];
        // Version 1 names itself nowhere, so that without errors it is just empty.
        let nothing = !head.has("results.*");
        (head.root() == "results" && (head.has_any(&inside) || nothing)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("cppcheck", None);
        let mut sources = Sources::default();
        let mut reader = source.xml()?;
        walk(
            &mut reader,
            session,
            &["error"],
            &[],
            |session, event| match event {
                Event::Record(record) => error(session, &record, &mut sources),
                Event::Open(node) if node.name() == "cppcheck" => {
                    session.tool_is("cppcheck", node.attribute("version"));
                    Ok(())
                }
                Event::Open(_) | Event::Close(_) => Ok(()),
            },
        )
    }
}

fn error(session: &mut Session<'_>, record: &XmlRecord<'_>, sources: &mut Sources) -> Result<(), Stop> {
    let attribute = |name: &str| record.node.attribute(name).unwrap_or_default();
    let rule = attribute("id");
    if rule.is_empty() {
        session.lose_record("record-without-rule", record, "has no `id`");
        return Ok(());
    }
    let raw = record.node.attribute("severity");
    let severity = session.severity(&SEVERITIES, raw, record);
    let (short, verbose) = (attribute("msg"), unescaped(attribute("verbose")));
    let message = if verbose.is_empty() { short } else { &verbose };
    let mut finding = FindingBuilder::new("cppcheck", rule)
        .title(short)
        .message(message)
        .severity(severity, raw);
    finding = describe(finding, record);
    let mut trace = Vec::new();
    for (index, location) in record.node.all("location").enumerate() {
        let text = |name: &str| location.attribute(name).unwrap_or_default();
        if index == 0 {
            finding = sources.at(finding, session, record, text("file"), region(&text), "");
        } else if trace.len() < STEPS_MAX {
            trace.push(json!({
                "path": path::label(text("file"), session.root()).path,
                "line": region(&text).line,
                "message": tamiz_sdk::clean_line(text("info"), tamiz_sdk::limits::WORD_BYTES).text,
            }));
        }
    }
    if !attribute("file").is_empty() && record.node.child("location").is_none() {
        finding = sources.at(
            finding,
            session,
            record,
            attribute("file"),
            region(&attribute),
            "",
        );
    }
    if !trace.is_empty() {
        finding = finding.extra_json("trace", &json!(trace).to_string());
    }
    let symbol = record.node.child_text("symbol");
    if !symbol.is_empty() {
        finding = finding.extra_text("symbol", &symbol);
    }
    if GAPS.contains(&rule) {
        let file = record
            .node
            .child("location")
            .and_then(|location| location.attribute("file"));
        let message = format!("the tool reports: {}: {short}", file.unwrap_or_default());
        session.gap(
            "tool-error",
            &message,
            Some(tamiz_sdk::report::Record::span(record)),
        );
    }
    session.emit(finding, record)
}

/// Its own identity, how sure it is, and the class of weakness.
fn describe(mut finding: FindingBuilder, record: &XmlRecord<'_>) -> FindingBuilder {
    let attribute = |name: &str| record.node.attribute(name).unwrap_or_default();
    // 0 says that there is none.
    if attribute("hash") != "0" {
        finding = finding.tool_fingerprint(attribute("hash"));
    }
    if matches!(attribute("inconclusive"), "true" | "1") {
        finding = finding.confidence(Confidence::Low);
    }
    let mut is_weakness = false;
    for number in cwes(attribute("cwe")) {
        finding = finding.cwe(number);
        is_weakness = true;
    }
    if is_weakness && matches!(attribute("severity"), "error" | "warning") {
        finding = finding.category("security");
    }
    finding
}

/// Column 0 says that there is none.
fn region<'text>(text: &impl Fn(&str) -> &'text str) -> Region {
    let number = |name: &str| text(name).trim().parse().ok().filter(|number: &i64| *number != 0);
    Region {
        line: number("line"),
        column: number("column"),
        ..Region::default()
    }
}

/// Line ends stand there as `\012`.
fn unescaped(text: &str) -> String {
    text.replace("\\012", "\n")
}
