//! wafw00f's JSON and CSV (`-f json`, `-f csv`, 2.x): an entry per target and firewall.
//!
//! Shape: <https://github.com/EnableSecurity/wafw00f>, `wafw00f/main.py`, `buildResultRecord`.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Text};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Record, Session, Shape, Source, Stop, each};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::discovery;
use crate::place;

const TOOL: &str = "wafw00f";

/// It has no word for it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "wafw00f",
    words: &[("(no word)", Severity::Info)],
};

pub(crate) struct Wafw00f;

/// A row per target and firewall.
pub(crate) struct Wafw00fTable;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(default)]
    detected: Field<bool>,
    #[serde(borrow, default)]
    firewall: Text<'a>,
    #[serde(borrow, default)]
    manufacturer: Text<'a>,
    #[serde(borrow, default)]
    trigger_url: Text<'a>,
}

impl Format for Wafw00f {
    fn name(&self) -> &'static str {
        "wafw00f-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wafw00f"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = ["[].firewall", "[].manufacturer", "[].detected", "[].trigger_url"];
        (head.shape() == Shape::Array && head.count(&keys) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        each(&mut reader, session, "", entry)?;
        Ok(reader.finish()?)
    }
}

fn entry(session: &mut Session<'_>, element: Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("url", entry.url.is_wrong()),
            ("detected", entry.detected.is_wrong()),
            ("firewall", entry.firewall.is_wrong()),
        ],
    );
    let said = Said {
        url: entry.url.text(),
        detected: entry.detected.get().copied(),
        firewall: entry.firewall.text(),
        manufacturer: entry.manufacturer.text(),
        trigger: entry.trigger_url.text(),
    };
    emit(session, &element, &said)
}

impl Format for Wafw00fTable {
    fn name(&self) -> &'static str {
        "wafw00f-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wafw00f"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["url", "detected", "firewall", "manufacturer"])
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let listed = discovery::table(source, session, TOOL, |session, row| {
            let said = Said {
                url: &row.get("url"),
                detected: row.get("detected").to_lowercase().parse().ok(),
                firewall: &row.get("firewall"),
                manufacturer: &row.get("manufacturer"),
                trigger: &row.get("trigger_url"),
            };
            emit(session, row, &said)
        })?;
        if !listed {
            let problem = "wafw00f lists no target, and so none that answered";
            return Err(Stop::Broken(problem.to_owned()));
        }
        Ok(())
    }
}

/// What it says of one target, whatever the format.
struct Said<'a> {
    url: &'a str,
    detected: Option<bool>,
    firewall: &'a str,
    manufacturer: &'a str,
    trigger: &'a str,
}

fn emit(session: &mut Session<'_>, record: &dyn Record, said: &Said<'_>) -> Result<(), Stop> {
    let firewall = match said.firewall {
        "None" => "",
        name => name,
    };
    let detected = said.detected.unwrap_or(!firewall.is_empty());
    let (rule, title) = match (detected, firewall) {
        (false, _) => ("no-firewall", "no web application firewall was seen".to_owned()),
        (true, "" | "Generic") => ("firewall", "there is a web application firewall".to_owned()),
        (true, name) => ("firewall", format!("there is a web application firewall: {name}")),
    };
    let mut finding = FindingBuilder::new(TOOL, rule)
        .title(&title)
        .message(&title)
        .severity(Severity::Info, None)
        .category("technology")
        .location(place::at(said.url, "", "", said.trigger));
    for (key, value) in [("firewall", firewall), ("manufacturer", said.manufacturer)] {
        if detected && !value.is_empty() {
            finding = finding.extra_text(key, value);
        }
    }
    session.emit(finding, record)
}
