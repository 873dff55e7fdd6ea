//! nikto's reports, 2.1 to 2.5: XML, JSON and CSV.
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
    // Some messages begin with the path, which is the place.
    let title = match message.strip_prefix(item.path) {
        Some(rest) if !item.path.is_empty() && rest.starts_with(": ") => &rest[2..],
        _ => message,
    };
    let rule = if item.id.is_empty() { "item" } else { item.id };
    let mut finding = FindingBuilder::new(TOOL, rule)
        .title(title)
        .message(message)
        .severity(Severity::Low, None)
        .category("security")
        .location(place::at(item.url, item.method, "", ""));
    let osvdb = item.osvdb.trim_start_matches("OSVDB-");
    if !matches!(osvdb, "" | "0") {
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
