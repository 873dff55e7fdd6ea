//! sqlmap's reports, 1.x: the answers of its API (and `--report-json`, 1.10), its table of results, its log.
//!
//! Shapes: <https://github.com/sqlmapproject/sqlmap>, `lib/utils/api.py` (`/scan/ID/data` and
//! `/scan/ID/log`, joined or not) and `lib/controller/controller.py` (`--results-file`). What it read
//! out of a database is data of the target, and is not taken over.

mod api;
mod log;
mod table;

pub(crate) use api::SqlmapApi;
pub(crate) use log::SqlmapLog;
pub(crate) use table::SqlmapTable;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{Record, Session, Stop};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::place;

const TOOL: &str = "sqlmap";

/// The weakness class of all it finds.
const SQL_INJECTION_CWE: u32 = 89;

/// It has no word for it: what it reports, it did.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "sqlmap",
    words: &[("(no word)", Severity::High)],
};

/// A parameter that can be injected into.
struct Point<'a> {
    url: &'a str,
    /// `GET`, `POST`, `Cookie`, `URI`…
    place: &'a str,
    parameter: &'a str,
    techniques: Vec<String>,
    payload: &'a str,
    database: &'a str,
}

fn emit(session: &mut Session<'_>, record: &dyn Record, point: &Point<'_>) -> Result<(), Stop> {
    let method = match point.place {
        place if place.contains("POST") => "POST",
        place if place.contains("GET") => "GET",
        _ => "",
    };
    let techniques = point.techniques.join("\n");
    let title = format!(
        "SQL injection in the parameter `{}` ({})",
        point.parameter, point.place
    );
    let mut finding = FindingBuilder::new(TOOL, "sql-injection")
        .rule_name("SQL injection")
        .title(&title)
        .message(&format!("{title}\n{techniques}"))
        .severity(Severity::High, None)
        .confidence(Confidence::High)
        .category("security")
        .cwe(SQL_INJECTION_CWE)
        .tag("owasp:A03:2021")
        .location(place::at(point.url, method, point.parameter, point.payload))
        .remediation("Use parameterized queries, and never put input into the text of a query.");
    if !point.database.is_empty() {
        finding = finding.extra_text("database", point.database);
    }
    session.emit(finding, record)
}
