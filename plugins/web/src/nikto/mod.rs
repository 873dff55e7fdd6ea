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
    let osvdb = item.osvdb.trim_start_matches("OSVDB-").trim_start_matches('0');
    let mut finding = FindingBuilder::new(TOOL, &rule(item.id, osvdb, title))
        .title(title)
        .message(message)
        .severity(Severity::Low, None)
        .category("security")
        .location(place::at(item.url, item.method, subject(message), ""));
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

/// Of a message in an id's place; words behind these are more often values.
const WORDS_MAX: usize = 8;

/// Numbers that its plugins give to whatever they have to say begin so.
const SHARED_IDS: &str = "9999";

/// What says what kind of item it is. Reports without ids have a number of OSVDB's at best; then it is the message's
/// words, without what differs from scan to scan.
fn rule(id: &str, osvdb: &str, title: &str) -> String {
    match (id, osvdb) {
        ("", "") => {}
        ("", osvdb) => return format!("osvdb-{osvdb}"),
        (id, osvdb) if id.starts_with(SHARED_IDS) && !osvdb.is_empty() => {
            return format!("{id}/osvdb-{osvdb}");
        }
        (id, _) => return id.to_owned(),
    }
    let plain = |word: &str| {
        let word = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
        let is_word = !word.is_empty() && !word.bytes().any(|byte| byte.is_ascii_digit());
        is_word.then(|| word.to_ascii_lowercase())
    };
    let words: Vec<String> = title
        .split_whitespace()
        .filter_map(plain)
        .take(WORDS_MAX)
        .collect();
    if words.is_empty() {
        return "item".to_owned();
    }
    words.join("-")
}

/// The header or cookie that a message is about: several of them are several flaws of one address.
fn subject(message: &str) -> &str {
    let between = |start: &str, end: &str| {
        let (_, rest) = message.split_once(start)?;
        Some(rest.split_once(end)?.0)
    };
    [
        between("Uncommon header '", "'"),
        between("Uncommon header(s) '", "'"),
        between("Cookie ", " created without"),
        between("Retrieved ", " header"),
    ]
    .into_iter()
    .flatten()
    .find(|name| !name.contains(char::is_whitespace))
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{rule, subject};

    #[test]
    fn what_has_no_id_is_known_by_its_words() {
        assert_eq!(rule("000123", "12", "x"), "000123");
        assert_eq!(rule("999976", "5646", "x"), "999976/osvdb-5646");
        assert_eq!(rule("", "3268", "Directory indexing found."), "osvdb-3268");
        assert_eq!(
            rule(
                "",
                "",
                "Server leaks inodes via ETags, header found with file /, fields: 0x6b01651a 0x5f"
            ),
            "server-leaks-inodes-via-etags-header-found-with"
        );
        assert_eq!(rule("", "", "1 2"), "item");
    }

    #[test]
    fn headers_and_cookies_of_one_address_are_told_apart() {
        for (message, expected) in [
            ("Uncommon header 'x-a' found, with contents: *", "x-a"),
            ("/: Cookie sid created without the httponly flag.", "sid"),
            ("/: Retrieved x-powered-by header: PHP/5.3.", "x-powered-by"),
            ("Directory indexing found.", ""),
        ] {
            assert_eq!(subject(message), expected);
        }
    }
}
