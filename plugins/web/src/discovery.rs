//! Addresses that exist: what ffuf, wfuzz, gobuster and dirsearch report.
//!
//! They guess addresses and tell which ones answer. None of them judges what it found, so that all of
//! it is information; what is behind an address is for its reader, or another tool, to say.

use std::fmt::Write as _;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::csv::Row;
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{Record, Session, Source, Stop, rows};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::place;

/// They have no word for it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "ffuf, wfuzz, gobuster, dirsearch",
    words: &[("(no word)", Severity::Info)],
};

/// An address that answered.
#[derive(Default)]
pub(crate) struct Hit<'a> {
    pub(crate) tool: &'static str,
    pub(crate) url: &'a str,
    pub(crate) method: &'a str,
    /// What was put into the address.
    pub(crate) payload: &'a str,
    pub(crate) status: Option<i64>,
    pub(crate) length: Option<i64>,
    pub(crate) redirect: &'a str,
    pub(crate) server: &'a str,
}

/// Makes a finding of an address that answered.
pub(crate) fn emit(session: &mut Session<'_>, record: &dyn Record, hit: &Hit<'_>) -> Result<(), Stop> {
    if hit.url.trim().is_empty() {
        session.lose_record("record-unreadable", record, "names no address");
        return Ok(());
    }
    let status = hit.status.map(|status| status.to_string());
    let answer = status.as_deref().map_or_else(
        || "answers".to_owned(),
        |status| format!("answers with status {status}"),
    );
    let mut message = format!("{} {answer}", hit.url.trim());
    if let Some(length) = hit.length {
        let _ = write!(message, ", {length} bytes");
    }
    if !hit.redirect.is_empty() {
        let _ = write!(message, ", and leads to {}", hit.redirect);
    }
    let mut finding = FindingBuilder::new(hit.tool, "address-found")
        .rule_name("An address that exists")
        .title(&format!("{} {answer}", path_of(hit.url)))
        .message(&message)
        .severity(Severity::Info, None)
        .confidence(Confidence::Unknown)
        .category("discovery")
        .location(place::at(hit.url, hit.method, "", ""));
    for (key, value) in [
        ("status", status.as_deref().unwrap_or_default()),
        ("payload", hit.payload),
        ("redirect", hit.redirect),
        ("server", hit.server),
    ] {
        if !value.is_empty() {
            finding = finding.extra_text(key, value);
        }
    }
    if let Some(length) = hit.length {
        finding = finding.extra_json("length", &length.to_string());
    }
    session.emit(finding, record)
}

/// What an address is on its site.
fn path_of(url: &str) -> &str {
    let url = url.trim();
    let Some((_, rest)) = url.split_once("://") else {
        return url;
    };
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or(url)
}

/// For a report without an address: nobody knows whether the target answered at all, so that its silence
/// is no news.
pub(crate) fn tell_silence(session: &mut Session<'_>, tool: &str) {
    let message = format!("{tool} lists no address: nothing shows that the target answered");
    session.gap("no-contact-shown", &message, None);
}

/// Reads a tool's table, and tells whether it lists anything.
///
/// Every row of these tools' tables ends with a line end, and none has quotes that would show a cut.
pub(crate) fn table(
    source: Source<'_>,
    session: &mut Session<'_>,
    tool: &str,
    mut entry: impl FnMut(&mut Session<'_>, &Row<'_>) -> Result<(), Stop>,
) -> Result<bool, Stop> {
    session.tool_is(tool, None);
    let before = session.records();
    let mut table = source.table()?;
    rows(&mut table, session, |session, row| {
        if !row.is_ended() {
            return Err(Stop::Ended(format!("the input ends inside line {}", row.line())));
        }
        entry(session, &row)
    })?;
    Ok(session.records() > before)
}

/// As [`table`], of addresses that answered; one that lists none is silence.
pub(crate) fn hits(
    source: Source<'_>,
    session: &mut Session<'_>,
    tool: &str,
    entry: impl FnMut(&mut Session<'_>, &Row<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if !table(source, session, tool, entry)? {
        tell_silence(session, tool);
    }
    Ok(())
}
