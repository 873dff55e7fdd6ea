//! nikto's reports, 2.1 to 2.6: XML, JSON and CSV.
//!
//! Shapes: <https://github.com/sullo/nikto>, `program/templates/xml_*.tmpl` and
//! `program/plugins/nikto_report_*.plugin`. Of a target that is dead nikto writes an envelope without a
//! host; such a report is refused.

mod csv;
mod json;
mod xml;

pub(crate) use csv::NiktoCsv;
pub(crate) use json::NiktoJson;
pub(crate) use xml::NiktoXml;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Record, Session, Stop};
use tamiz_sdk::vocabulary::{SeverityTable, advisories};

use crate::html;
use crate::place;

const TOOL: &str = "nikto";

/// It has no word for it; most of what it tells is worth a look and no more.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "nikto",
    words: &[("(no word)", Severity::Low)],
};

/// How the messages begin that are about nikto's own troubles.
const FAILURES: [&str; 2] = ["ERROR: ", "No web server found on "];

/// One item, whatever the format.
#[derive(Default)]
struct Item<'a> {
    id: &'a str,
    osvdb: &'a str,
    method: &'a str,
    url: &'a str,
    path: &'a str,
    message: &'a str,
    references: &'a str,
}

fn emit(session: &mut Session<'_>, record: &dyn Record, item: &Item<'_>) -> Result<(), Stop> {
    let message = item.message.trim();
    if message.is_empty() {
        session.lose_record("record-unreadable", record, "says nothing");
        return Ok(());
    }
    if FAILURES.iter().any(|start| message.starts_with(start)) {
        session.gap_record("tool-error", record, &format!("tells of a failure: {message}"));
        return Ok(());
    }
    // Some messages begin with the path, which is the place.
    let title = Some(message.strip_prefix(item.path).unwrap_or(message))
        .and_then(|rest| rest.strip_prefix(':'))
        .map_or(message, str::trim_start);
    let rule = if item.id.is_empty() { "item" } else { item.id };
    let mut finding = FindingBuilder::new(TOOL, rule)
        .title(title)
        .message(message)
        .severity(Severity::Low, None)
        .category("security")
        .location(place::at(item.url, item.method, "", ""));
    let osvdb = item.osvdb.trim_start_matches("OSVDB-").trim_start_matches('0');
    if !osvdb.is_empty() {
        finding = finding.extra_text("osvdb", osvdb);
    }
    for id in advisories(message).chain(advisories(item.references)) {
        finding = finding.cve(id);
    }
    for address in html::addresses(item.references).chain(html::addresses(message)) {
        finding = finding.reference(address.trim_end_matches(['.', ')']));
    }
    session.emit(finding, record)
}
