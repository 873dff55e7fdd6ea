//! flawfinder's table (seen: 2.0.19). Its levels go from 0, hardly a risk, to 5.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::csv::Row;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop, rows};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use super::place::{self, Region};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "flawfinder",
    words: &[
        ("5", Severity::High),
        ("4", Severity::High),
        ("3", Severity::Medium),
        ("2", Severity::Low),
        ("1", Severity::Low),
        ("0", Severity::Info),
    ],
};

pub(super) struct Flawfinder;

impl Format for Flawfinder {
    fn name(&self) -> &'static str {
        "flawfinder-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["flawfinder"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["File", "Line", "Level", "Name", "CWEs"])
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("flawfinder", None);
        let mut table = source.table()?;
        rows(&mut table, session, |session, row| hit(session, &row))
    }
}

fn hit(session: &mut Session<'_>, row: &Row<'_>) -> Result<(), Stop> {
    let (id, name) = (row.get("RuleId"), row.get("Name"));
    let rule = if id.is_empty() { &name } else { &id };
    if rule.is_empty() {
        session.lose_record("record-without-rule", row, "names no rule");
        return Ok(());
    }
    session.tool_is("flawfinder", Some(&row.get("ToolVersion")));
    let raw = row.get("Level");
    let severity = session.severity(&SEVERITIES, Some(&raw), row);
    let mut finding = FindingBuilder::new("flawfinder", rule)
        .rule_name(&name)
        .message(&row.get("Warning"))
        .severity(severity, Some(&raw))
        .category("security")
        .tag(&row.get("Category"))
        .remediation(&row.get("Suggestion"))
        .reference(&row.get("HelpUri"))
        .tool_fingerprint(&row.get("Fingerprint"));
    for number in cwes(&row.get("CWEs")) {
        finding = finding.cwe(number);
    }
    let number = |column: &str| row.get(column).trim().parse().ok();
    let region = Region {
        line: number("Line"),
        column: number("Column"),
        ..Region::default()
    };
    let finding = place::at(
        finding,
        session,
        row,
        &row.get("File"),
        region,
        &row.get("Context"),
    );
    session.emit(finding, row)
}
