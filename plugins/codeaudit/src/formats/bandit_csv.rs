//! Bandit's table (seen: 1.5.1 to 1.9.4; older ones lack `issue_cwe` and the columns' numbers).

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::csv::Row;
use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop, rows};
use tamiz_sdk::vocabulary::{confidence, cwes};

use super::bandit::SEVERITIES;
use super::place::Region;
use super::source::Sources;

pub(super) struct BanditCsv;

impl Format for BanditCsv {
    fn name(&self) -> &'static str {
        "bandit-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["bandit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["filename", "test_name", "test_id", "issue_severity", "issue_text"])
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("bandit", None);
        let mut table = source.table()?;
        let mut sources = Sources::default();
        rows(&mut table, session, |session, row| {
            issue(session, &row, &mut sources)
        })
    }
}

fn issue(session: &mut Session<'_>, row: &Row<'_>, sources: &mut Sources) -> Result<(), Stop> {
    // The last cell is an address. It always ends its line, unless somebody took the last line's end off.
    let address = row.get("more_info");
    if !row.is_ended() && !address.contains(".html") {
        let problem = format!("the input ends inside line {}", row.line());
        return Err(Stop::Ended(problem));
    }
    let (id, name) = (row.get("test_id"), row.get("test_name"));
    let rule = if id.is_empty() { &name } else { &id };
    if rule.is_empty() {
        session.lose_record("record-without-rule", row, "names no test");
        return Ok(());
    }
    let raw = row.get("issue_severity");
    let severity = session.severity(&SEVERITIES, Some(&raw), row);
    let mut finding = FindingBuilder::new("bandit", rule)
        .rule_name(&name)
        .message(&row.get("issue_text"))
        .severity(severity, Some(&raw))
        .category("security")
        .reference(&address);
    if let Some(confidence) = confidence(&row.get("issue_confidence")) {
        finding = finding.confidence(confidence);
    }
    for number in cwes(&row.get("issue_cwe")) {
        finding = finding.cwe(number);
    }
    let number = |column: &str| row.get(column).trim().parse::<i64>().ok();
    let behind = |column: &str| number(column).map(|column| column.saturating_add(1));
    // `[17, 18, 19]`: the lines of the statement.
    let range = row.get("line_range");
    let lines = range.trim_matches(['[', ']']).split(',');
    let last = lines.filter_map(|line| line.trim().parse().ok()).max();
    let region = Region {
        line: number("line_number"),
        column: behind("col_offset"),
        end_line: last.or(number("line_number")),
        end_column: behind("end_col_offset").filter(|column| *column > 1),
    };
    let finding = sources.at(finding, session, row, &row.get("filename"), region, "");
    session.emit(finding, row)
}
