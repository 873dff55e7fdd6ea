//! `--jsonfile`: one list of all checks.

use serde::Deserialize;
use tamiz_sdk::json::lenient::Text;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, each};

use super::{Entry, Reading, TOOL, server};
use crate::endpoint::Endpoint;

pub(crate) struct Flat;

/// A check as JSON.
#[derive(Deserialize)]
pub(super) struct Check<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    ip: Text<'a>,
    #[serde(borrow, default)]
    port: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    finding: Text<'a>,
    #[serde(borrow, default)]
    cve: Text<'a>,
    #[serde(borrow, default)]
    cwe: Text<'a>,
    #[serde(borrow, default)]
    hint: Text<'a>,
}

impl Format for Flat {
    fn name(&self) -> &'static str {
        "testssl-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["testssl.sh"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = ["[].id", "[].ip", "[].port", "[].severity", "[].finding"];
        (head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reading = Reading::default();
        let mut reader = source.json()?;
        let mut read = each(&mut reader, session, "", |session, element| {
            check(&mut reading, session, &element, None)
        });
        if read.is_ok() {
            read = reader.finish().map_err(Stop::from);
        }
        reading.end(session, read)
    }
}

/// Takes one check; `known` is its server when the check itself does not say it.
pub(super) fn check(
    reading: &mut Reading,
    session: &mut Session<'_>,
    element: &Element<'_>,
    known: Option<&Endpoint>,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(check) = element.read_or_lose::<Check<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let fields = [
        ("ip", check.ip.is_wrong()),
        ("port", check.port.is_wrong()),
        ("finding", check.finding.is_wrong()),
        ("cve", check.cve.is_wrong()),
        ("cwe", check.cwe.is_wrong()),
        ("hint", check.hint.is_wrong()),
    ];
    element.tell_wrong(session, &fields);
    let own = server(check.ip.text(), check.port.text());
    let entry = Entry {
        id: check.id.text(),
        severity: check.severity.get().map(AsRef::as_ref),
        finding: check.finding.text(),
        cve: check.cve.text(),
        cwe: check.cwe.text(),
        hint: check.hint.text(),
    };
    reading.take(session, element, own.as_ref().or(known), &entry)
}
