//! Bandit's XML (seen: 1.9.4), in the form of xUnit:
//! `<testsuite name="bandit"><testcase classname="FILE" name="TEST"><error …>TEXT</error></testcase>`.
//!
//! What the attributes lack stands in the text, in words: `Test ID: B101 Severity: LOW Confidence: HIGH`,
//! `CWE: CWE-703 (…)`, the message, `Location FILE:LINE`.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::report::{Event, Format, Head, Recognition, Record, Session, Source, Stop, XmlRecord, walk};
use tamiz_sdk::vocabulary::{confidence, cwes};

use super::bandit::SEVERITIES;
use super::place::{self, Region};

pub(super) struct BanditXml;

impl Format for BanditXml {
    fn name(&self) -> &'static str {
        "bandit-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["bandit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.root() == "testsuite" && head.root_attribute("name") == Some("bandit")).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("bandit", None);
        let mut reader = source.xml()?;
        walk(
            &mut reader,
            session,
            &["testcase"],
            &[],
            |session, event| match event {
                Event::Record(record) => test_case(session, &record),
                Event::Open(_) | Event::Close(_) => Ok(()),
            },
        )
    }
}

fn test_case(session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
    let Some(error) = record.node.child("error") else {
        session.leave_out_record("result-without-problem", record, "has no error");
        return Ok(());
    };
    let text = error.text();
    let name = record.node.attribute("name").unwrap_or_default();
    let rule = match word_after(&text, "Test ID:") {
        "" => name,
        id => id,
    };
    if rule.is_empty() {
        session.lose_record("record-without-rule", record, "names no test");
        return Ok(());
    }
    let raw = match word_after(&text, "Severity:") {
        "" => error.attribute("type"),
        word => Some(word),
    };
    let severity = session.severity(&SEVERITIES, raw, record);
    let mut finding = FindingBuilder::new("bandit", rule)
        .rule_name(name)
        .message(error.attribute("message").unwrap_or(&text))
        .severity(severity, raw)
        .category("security")
        .reference(error.attribute("more_info").unwrap_or_default());
    if let Some(confidence) = confidence(word_after(&text, "Confidence:")) {
        finding = finding.confidence(confidence);
    }
    let weaknesses = text.lines().filter_map(|line| line.strip_prefix("CWE:"));
    for number in weaknesses.flat_map(cwes) {
        finding = finding.cwe(number);
    }
    let location = text.lines().rev().find_map(|line| line.strip_prefix("Location "));
    let (path, line) = location
        .and_then(|location| location.rsplit_once(':'))
        .unwrap_or_default();
    let path = match record.node.attribute("classname") {
        Some(class) if !class.is_empty() => class,
        _ => path,
    };
    let region = Region::line(line.trim().parse().ok());
    let finding = place::at(finding, session, record as &dyn Record, path, region, "");
    session.emit(finding, record)
}

/// The word behind a label.
fn word_after<'text>(text: &'text str, label: &str) -> &'text str {
    let rest = text.split_once(label).map_or("", |(_, rest)| rest);
    rest.split_whitespace().next().unwrap_or_default()
}
