//! The report kit from outside: a plugin with one format of each kind, as `plugins/README.md` shows.

#![expect(clippy::expect_used, reason = "a test's own code")]

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Text, Texts, Whole};
use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::{Completeness, ConvertError, Outcome, Severity, position};
use tamiz_sdk::report::{
    self, Converter, EmptyList, Event, Format, Head, Options, Recognition, Record, Session, Source, Stop,
};
use tamiz_sdk::vocabulary::{self, SeverityTable};
use tamiz_sdk::{FindingBuilder, hide};

const CONVERTER: Converter = Converter {
    plugin: "demo",
    expected: "expected a report of demo",
    formats: &[&DemoJson, &DemoLines, &DemoXml, &DemoTable, &EmptyList],
};

const DEMO: SeverityTable = SeverityTable {
    tool: "demo",
    words: &[("high", Severity::High), ("low", Severity::Low)],
};

/// `{"demo_version", "issues": [{"id", "severity", "text", "file", "line", "cwe"}]}`.
struct DemoJson;

#[derive(Deserialize)]
struct Issue<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    file: Text<'a>,
    #[serde(default)]
    line: Whole,
    #[serde(borrow, default)]
    cwe: Texts<'a>,
}

impl Format for DemoJson {
    fn name(&self) -> &'static str {
        "demo-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["demo"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_all(&["demo_version", "issues"]).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("demo", source.head().text("demo_version"));
        let mut reader = source.json()?;
        report::members(&mut reader, session, |reader, session, key, _| {
            if key != "issues" {
                return Ok(false);
            }
            report::each(reader, session, "issues", |session, element| {
                let mut repaired = Vec::new();
                let Some(issue) = element.read_or_lose::<Issue<'_>>(session, &mut repaired) else {
                    return Ok(());
                };
                let wrong = [("file", issue.file.is_wrong()), ("line", issue.line.is_wrong())];
                element.tell_wrong(session, &wrong);
                if issue.id.text().is_empty() {
                    session.lose_record("record-without-rule", &element, "names no rule in `id`");
                    return Ok(());
                }
                let finding = issue.finding(session, &element);
                session.emit(finding, &element)
            })?;
            Ok(true)
        })?;
        Ok(reader.finish()?)
    }
}

impl Issue<'_> {
    fn finding(&self, session: &mut Session<'_>, record: &dyn Record) -> FindingBuilder {
        let raw = self.severity.get().map(AsRef::as_ref);
        let severity = session.severity(&DEMO, raw, record);
        let mut finding = FindingBuilder::new("demo", self.id.text())
            .message(self.text.text())
            .severity(severity, raw);
        let label = report::path::label(self.file.text(), session.root());
        if !label.path.is_empty() {
            let start = position(self.line.get().copied(), None);
            finding = finding.file(&label.path, start, None, "");
        }
        for number in self.cwe.texts().flat_map(vocabulary::cwes) {
            finding = finding.cwe(number);
        }
        finding
    }
}

/// One secret per line, between lines of a log.
struct DemoLines;

#[derive(Deserialize)]
struct Leak<'a> {
    #[serde(borrow, default)]
    detector: Text<'a>,
    #[serde(borrow, default)]
    raw: Text<'a>,
    #[serde(borrow, default)]
    quote: Text<'a>,
}

impl Format for DemoLines {
    fn name(&self) -> &'static str {
        "demo-lines"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["demo"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.has_all(&["detector", "raw"]) || head.has_all(&["[].detector", "[].raw"])).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("demo", None);
        report::json_lines(source, session, |session, element| {
            let mut repaired = Vec::new();
            let Some(leak) = element.read_or_lose::<Leak<'_>>(session, &mut repaired) else {
                return Ok(());
            };
            let finding = FindingBuilder::new("demo", leak.detector.text())
                .message(&hide(leak.quote.text(), leak.raw.text()));
            let finding = session.secret(finding, leak.raw.text());
            session.emit(finding, &element)
        })
    }
}

/// `<demo version="…"><host name="…"><item id="…">text</item>…</host></demo>`.
struct DemoXml;

impl Format for DemoXml {
    fn name(&self) -> &'static str {
        "demo-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["demo"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.root() == "demo").into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("demo", source.head().root_attribute("version"));
        let mut host = String::new();
        let mut reader = source.xml()?;
        report::walk(
            &mut reader,
            session,
            &["item"],
            &[],
            |session, event| match event {
                Event::Open(element) => {
                    if element.name() == "host" {
                        element
                            .attribute("name")
                            .unwrap_or_default()
                            .clone_into(&mut host);
                    }
                    Ok(())
                }
                Event::Close(_) => Ok(()),
                Event::Record(record) => {
                    let item = record.node;
                    let finding = FindingBuilder::new("demo", item.attribute("id").unwrap_or("none"))
                        .message(&item.text())
                        .extra_text("host", &host);
                    session.emit(finding, &record)
                }
            },
        )
    }
}

/// Columns `id`, `text` and others.
struct DemoTable;

impl Format for DemoTable {
    fn name(&self) -> &'static str {
        "demo-table"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["demo"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["id", "text"]).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("demo", None);
        let mut table = source.table()?;
        report::rows(&mut table, session, |session, row| {
            let finding = FindingBuilder::new("demo", &row.get("id")).message(&row.get("text"));
            session.emit(finding, &row)
        })
    }
}

fn convert(text: &str) -> (Result<Outcome, ConvertError>, MemoryHost) {
    let mut host = MemoryHost::default();
    let input = MemoryInput::new("report", text.as_bytes()).with_chunk_bytes(7);
    let outcome = CONVERTER.convert(vec![Box::new(input)], Options::default(), &mut host);
    (outcome, host)
}

/// Converts, and compares completeness, records, skipped, and the codes of the diagnostics.
#[track_caller]
fn check(text: &str, format: &str, expected: (Completeness, u32, u32), codes: &[&str]) -> MemoryHost {
    let (outcome, host) = convert(text);
    let outcome = outcome.expect(text);
    assert_eq!(outcome.format, format, "{text}");
    let counts = (outcome.completeness, outcome.records, outcome.skipped);
    assert_eq!(counts, expected, "{:?}", host.diagnostics);
    let told: Vec<_> = host.diagnostics.iter().map(|told| told.code.as_str()).collect();
    assert_eq!(told, codes, "{text}");
    host
}

#[test]
fn json_loses_the_bad_record_only() {
    let host = check(
        r#"{"demo_version":"1.0","issues":[{"id":"A","severity":"high","file":"./a.py","line":3,"cwe":"CWE-79"},
            7,{"id":"B","severity":"odd","file":{}},{"severity":"low"}],"other":[1,2]}"#,
        "demo-json",
        (Completeness::Partial, 4, 2),
        &[
            "record-unreadable",
            "field-unreadable",
            "severity-unknown",
            "record-without-rule",
        ],
    );
    let first = &host.findings[0];
    assert_eq!(
        (first.cwe.as_slice(), first.severity),
        (&[79][..], Severity::High)
    );
    assert!(
        host.diagnostics[0]
            .message
            .starts_with("issues[1] could not be read")
    );
}

#[test]
fn lines_lose_the_bad_line_only_and_show_no_secret() {
    let secret = "AKIAIOSFODNN7EXAMPLEabcd";
    let record = format!(r#"{{"detector":"aws","raw":"{secret}","quote":"key = {secret}"}}"#);
    let text = format!("starting up\n{record}\n{{\"detector\":\n{record}\n");
    let host = check(
        &text,
        "demo-lines",
        (Completeness::Partial, 3, 1),
        &["line-not-json", "record-unreadable"],
    );
    let finding = &host.findings[0];
    assert_eq!(finding.message, "key = AKIA********cd");
    let shown = ("secret".to_owned(), "\"AKIA********cd\"".to_owned());
    assert_eq!(finding.extra, [shown]);
    assert_eq!(finding.tool_fingerprint, host.findings[1].tool_fingerprint);
    assert!(!format!("{host:?}").contains(secret));

    let all = (Completeness::Complete, 2, 0);
    check(&format!("[{record},{record}]"), "demo-lines", all, &[]);
    let pretty = record.replace(',', ",\n").replace('{', "{\n");
    check(&format!("{pretty}\n{pretty}"), "demo-lines", all, &[]);
    check(
        &format!("{record}\n{}", &record[..40]),
        "demo-lines",
        (Completeness::Truncated, 1, 0),
        &["truncated"],
    );
}

#[test]
fn xml_and_tables_are_told_by_their_beginning() {
    let host = check(
        "<demo version='2'><host name='a'><item id='1'>x</item></host><host name='b'><item id='2'><c></item></host></demo>",
        "demo-xml",
        (Completeness::Partial, 2, 1),
        &["record-unreadable"],
    );
    assert_eq!(host.findings[0].extra, [("host".to_owned(), "\"a\"".to_owned())]);
    let cut = (Completeness::Truncated, 1, 0);
    check("<demo><item id='1'/><item", "demo-xml", cut, &["truncated"]);
    let two = (Completeness::Complete, 2, 0);
    check("id;text\n1;a\n2\n", "demo-table", two, &["row-uneven"]);
    let none = (Completeness::Complete, 0, 0);
    check("[]\n", "empty-list", none, &["nothing-listed"]);
}

#[test]
fn what_is_no_report_is_named() {
    let refused = |what: &str| {
        let message = format!("`report` is no report that demo reads: {what}; expected a report of demo");
        ConvertError::Unrecognized(message)
    };
    let corrupt = |what: &str| {
        let nothing = Outcome {
            completeness: Completeness::Partial,
            ..Outcome::default()
        };
        ConvertError::corrupt(format!("`report`: {what}; expected a report of demo"), nothing)
    };
    for (text, error) in [
        (
            r#"{"a":1,"b":{}}"#,
            refused("it is an object with the keys `a`, `b`"),
        ),
        ("<html/>", refused("it is XML or HTML with the root `html`")),
        (
            r#"[{"a":1},{"c":1}]"#,
            refused("it is an array of objects with the keys `a`, `c`"),
        ),
        ("plain", refused("it is text, starting with `plain`")),
        (
            "<!DOCTYPE demo [<!ENTITY a 'b'>]><demo/>",
            corrupt("the document declares entities in its DOCTYPE at byte 0, which no report needs"),
        ),
        (
            "{\"a\":[1,",
            corrupt("the input ends at byte 8, inside the document, before its format could be told"),
        ),
    ] {
        let (outcome, host) = convert(text);
        assert_eq!(outcome.expect_err(text), error);
        assert!(host.findings.is_empty());
    }
}

/// What tells the format may stand behind megabytes of something else.
#[test]
fn a_key_far_behind_is_found_by_reading_on() {
    let other = vec!["{\"x\":\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"}"; 10_000].join(",");
    let issue = r#"{"id":"A","severity":"low"}"#;
    let text = format!(r#"{{"other":[{other}],"demo_version":"3","issues":[{issue}]}}"#);
    let host = check(&text, "demo-json", (Completeness::Complete, 1, 0), &[]);
    let origin = host.findings[0].origin.expect("a place");
    assert_eq!(
        &text[origin.offset as usize..(origin.offset + origin.length) as usize],
        issue
    );
}
