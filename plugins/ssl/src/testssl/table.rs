//! `--csvfile`: a row per check.

use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop, rows};

use super::{Entry, Reading, TOOL, server};

pub(crate) struct Table;

impl Format for Table {
    fn name(&self) -> &'static str {
        "testssl-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["testssl.sh"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["id", "fqdn/ip", "port", "severity", "finding"])
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reading = Reading::default();
        let mut table = source.table()?;
        let read = rows(&mut table, session, |session, row| {
            let server = server(&row.get("fqdn/ip"), &row.get("port"));
            let severity = row.get("severity");
            // Tables of several targets, one after the other.
            if row.get("id") == "id" && severity == "severity" {
                return Ok(());
            }
            let entry = Entry {
                id: &row.get("id"),
                severity: (!severity.is_empty()).then_some(severity.as_ref()),
                finding: &row.get("finding"),
                cve: &row.get("cve"),
                cwe: &row.get("cwe"),
                hint: &row.get("hint"),
            };
            reading.take(session, &row, server.as_ref(), &entry)
        });
        reading.end(session, read)
    }
}
