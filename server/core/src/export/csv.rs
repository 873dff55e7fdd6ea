//! One row an alert, by RFC 4180, for spreadsheets.
//!
//! A cell that begins like a formula (`=`, `+`, `-`, `@`, a tab, a line break) gets an apostrophe in front: programs
//! that open the file would compute it otherwise (OWASP, CSV injection). A reader that wants the text as it was takes
//! the JSON formats. Lists are parted by spaces.

use csv_core::{QuoteStyle, Terminator, WriterBuilder};

use super::package::Package;
use super::{Exported, Writer, time};
use crate::location::{Location, Position};

/// The columns, in this order: the header row.
pub const COLUMNS: [&str; 38] = [
    "id",
    "state",
    "severity",
    "reported_severity",
    "baseline",
    "tool",
    "tool_version",
    "scan_type",
    "rule_id",
    "rule_name",
    "title",
    "category",
    "confidence",
    "place_kind",
    "place",
    "line",
    "end_line",
    "places",
    "cwe",
    "advisories",
    "cvss_score",
    "cvss_vector",
    "package",
    "package_version",
    "ecosystem",
    "package_url",
    "fixed_version",
    "first_seen",
    "last_seen",
    "dismissal_reason",
    "dismissal_comment",
    "dismissed_by",
    "dismissed_until",
    "tags",
    "references",
    "remediation",
    "message",
    "fingerprint",
];

/// Writes CSV.
#[derive(Debug)]
pub struct Csv;

impl Writer for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) {
        row(out, &COLUMNS);
    }

    fn alert(&mut self, alert: &Exported, out: &mut Vec<u8>) -> bool {
        let cells = cells(alert);
        row(out, &cells.each_ref().map(String::as_str));
        true
    }

    fn end(&mut self, _out: &mut Vec<u8>) {}
}

fn cells(alert: &Exported) -> [String; COLUMNS.len()] {
    let finding = &alert.finding;
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let place = finding.locations.first();
    let lines = match place {
        Some(Location::File { start, end, .. }) => [*start, *end],
        _ => [None; 2],
    };
    let [line, end_line] =
        lines.map(|at: Option<Position>| at.map_or_else(String::new, |at| at.line.to_string()));
    let package = Package::of(finding);
    let package = package.as_ref();
    let dismissal = alert.dismissal.as_ref();
    let weaknesses: Vec<String> = finding.cwe.iter().map(|number| format!("CWE-{number}")).collect();
    [
        alert.id.to_string(),
        alert.state.to_string(),
        alert.severity.to_string(),
        finding.severity.to_string(),
        alert
            .baseline
            .map(|baseline| baseline.to_string())
            .unwrap_or_default(),
        finding.tool.clone(),
        own(&alert.tool_version),
        alert.scan_type.to_string(),
        finding.rule_id.clone(),
        own(&finding.rule_name),
        finding.title.clone(),
        own(&finding.category),
        format!("{:?}", finding.confidence).to_lowercase(),
        place.map(|place| place.kind().to_owned()).unwrap_or_default(),
        place.map(Location::label).unwrap_or_default(),
        line,
        end_line,
        alert.all_places().count().to_string(),
        weaknesses.join(" "),
        finding.cve.join(" "),
        alert
            .cvss_score
            .map(|score| format!("{score:.1}"))
            .unwrap_or_default(),
        own(&finding.cvss_vector),
        package.map(|package| package.name.to_owned()).unwrap_or_default(),
        package
            .map(|package| package.version.to_owned())
            .unwrap_or_default(),
        package
            .map(|package| package.ecosystem.to_owned())
            .unwrap_or_default(),
        package.map(|package| package.url.clone()).unwrap_or_default(),
        package
            .map(|package| package.fixed.to_owned())
            .unwrap_or_default(),
        time(alert.first_seen),
        time(alert.last_seen),
        dismissal.map(|it| it.reason.to_string()).unwrap_or_default(),
        dismissal.and_then(|it| it.comment.clone()).unwrap_or_default(),
        dismissal.map(|it| it.by.clone()).unwrap_or_default(),
        dismissal.and_then(|it| it.until).map(time).unwrap_or_default(),
        finding.tags.join(" "),
        finding.references.join(" "),
        own(&finding.remediation),
        finding.message.clone(),
        hex::encode(alert.fingerprint.0),
    ]
}

fn row(out: &mut Vec<u8>, cells: &[&str]) {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).build();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            written(out, 1, |room| writer.delimiter(room).1);
        }
        if is_formula(cell) {
            guarded(out, cell);
        } else {
            written(out, cell.len(), |room| writer.field(cell.as_bytes(), room).2);
        }
    }
    written(out, 1, |room| writer.terminator(room).1);
}

/// A cell that a spreadsheet would compute, so that none does: always quoted, with an apostrophe in front.
fn guarded(out: &mut Vec<u8>, cell: &str) {
    let mut writer = WriterBuilder::new().quote_style(QuoteStyle::Always).build();
    let cell = format!("'{cell}");
    written(out, cell.len(), |room| writer.field(cell.as_bytes(), room).2);
    written(out, 1, |room| writer.finish(room).1);
}

/// Writes behind what is there. What is written of so many bytes is at most twice as long, and has quotes around it.
fn written(out: &mut Vec<u8>, bytes: usize, write: impl FnOnce(&mut [u8]) -> usize) {
    let known = out.len();
    out.resize(known + 2 * bytes + 2, 0);
    let written = write(&mut out[known..]);
    out.truncate(known + written);
}

/// Whether a spreadsheet would compute it; the last four are the wide forms, which some read like the narrow ones.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::samples;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be_and_formulas_are_disarmed() {
        let row = text(|out| {
            row(
                out,
                &[
                    "a",
                    "",
                    "b,c",
                    "say \"hi\"",
                    "x\r\ny",
                    "=1+1",
                    "@SUM(A1)",
                    "-2",
                    "\tz",
                    "a=b",
                ],
            );
        });
        let expected = concat!(
            "a,,\"b,c\",\"say \"\"hi\"\"\",\"x\r\ny\",",
            "\"'=1+1\",\"'@SUM(A1)\",\"'-2\",\"'\tz\",a=b\r\n"
        );
        assert_eq!(row, expected);
    }

    /// The cells of the only row, by RFC 4180.
    fn parsed(row: &str) -> Vec<String> {
        let mut text = vec![0; row.len()];
        let mut ends = [0; COLUMNS.len() + 1];
        let mut reader = csv_core::Reader::new();
        let (result, _, _, count) = reader.read_record(row.as_bytes(), &mut text, &mut ends);
        assert_eq!(result, csv_core::ReadRecordResult::Record);
        let starts = std::iter::once(0).chain(ends);
        let cell = |(start, end): (usize, usize)| String::from_utf8(text[start..end].to_vec()).unwrap();
        starts.zip(ends).take(count).map(cell).collect()
    }

    #[test]
    fn every_alert_is_one_row_of_all_columns() {
        let mut writer = Csv;
        let header = text(|out| writer.begin(out));
        assert_eq!(header, format!("{}\r\n", COLUMNS.join(",")));
        for alert in samples::all() {
            let row = text(|out| {
                writer.alert(&alert, out);
            });
            assert_eq!(parsed(&row), cells(&alert));
        }
    }

    #[test]
    fn a_row_says_what_its_alert_is() {
        let cell = |alert: &Exported, column: &str| {
            let index = COLUMNS.iter().position(|known| *known == column).unwrap();
            cells(alert)[index].clone()
        };
        for (alert, column, expected) in [
            (samples::code(), "cwe", "CWE-89 CWE-20 CWE-89"),
            (samples::code(), "end_line", "4"),
            (samples::code(), "places", "4"),
            (samples::code(), "cvss_score", "7.5"),
            (samples::package(), "package_url", "pkg:npm/lodash@4.17.20"),
            (samples::package(), "first_seen", "2027-01-15T08:00:00Z"),
            (samples::secret(), "severity", "low"),
            (samples::secret(), "reported_severity", "critical"),
            (samples::secret(), "dismissal_comment", "seen by the team: fine"),
            (samples::web(), "place", "https://shop.test/users?id=1"),
            (samples::web(), "confidence", "unknown"),
            (samples::flow(), "place", "10.0.0.1:40000 > shop.test:80"),
            (samples::flow(), "baseline", "absent"),
        ] {
            assert_eq!(cell(&alert, column), expected, "{column}");
        }
    }
}
