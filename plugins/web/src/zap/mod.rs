//! ZAP's traditional reports, 2.7 and later: XML and JSON.
//!
//! Shapes: <https://www.zaproxy.org/docs/desktop/addons/report-generation/report-traditional-xml/> and
//! `…-json/`. A record is an alert of a site; its instances are the finding's places, all of them: an
//! alert with more instances than a finding can have places makes several findings. `confidence` says how
//! sure ZAP is and is kept apart from `riskcode`. A report without a site is that of a dead target.

mod json;
mod xml;

pub(crate) use json::ZapJson;
pub(crate) use xml::ZapXml;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::limits::LIST_ENTRIES;
use tamiz_sdk::model::{Confidence, Location, Severity};
use tamiz_sdk::report::{Record, Session, Stop};
use tamiz_sdk::vocabulary::{Label, SeverityTable, cwes, label, owasp};

use crate::html;

const TOOL: &str = "zap";

/// Its risk codes.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "zap",
    words: &[
        ("3", Severity::High),
        ("2", Severity::Medium),
        ("1", Severity::Low),
        ("0", Severity::Info),
    ],
};

/// One alert, whatever the format.
#[derive(Default)]
struct Alert<'a> {
    plugin: &'a str,
    reference: &'a str,
    name: &'a str,
    risk: Option<&'a str>,
    confidence: &'a str,
    description: &'a str,
    other: &'a str,
    solution: &'a str,
    references: &'a str,
    cwe: &'a str,
    wasc: &'a str,
    tags: Vec<&'a str>,
    places: Vec<Location>,
}

fn emit(session: &mut Session<'_>, record: &dyn Record, alert: &Alert<'_>) -> Result<(), Stop> {
    if alert.name.is_empty() && alert.plugin.is_empty() {
        session.lose_record("record-unreadable", record, "names no alert");
        return Ok(());
    }
    let severity = session.severity(&SEVERITIES, alert.risk, record);
    let (confidence, is_false) = match alert.confidence {
        "0" => (Confidence::Low, true),
        "1" => (Confidence::Low, false),
        "2" => (Confidence::Medium, false),
        // 4: a user confirmed it.
        "3" | "4" => (Confidence::High, false),
        _ => (Confidence::Unknown, false),
    };
    let description = html::plain(alert.description);
    let other = html::plain(alert.other);
    let message = if other.is_empty() {
        description
    } else {
        format!("{description}\n\n{other}")
    };
    let solution = html::plain(alert.solution);
    let rule = if alert.plugin.is_empty() {
        alert.name
    } else {
        alert.plugin
    };
    // The spider comes by them in another order each time, and the first is what an alert is known by.
    let mut in_order = alert.places.clone();
    in_order.sort_by_cached_key(sorted_by);
    // At least one finding, also for an alert without a place.
    for places in in_order
        .chunks(LIST_ENTRIES)
        .chain(in_order.is_empty().then_some(&[][..]))
    {
        let mut finding = FindingBuilder::new(TOOL, rule)
            .rule_name(alert.name)
            .title(alert.name)
            .message(&message)
            .severity(severity, alert.risk)
            .confidence(confidence)
            .category("security")
            .remediation(&solution);
        for place in places {
            finding = finding.location(place.clone());
        }
        for cwe in cwes(alert.cwe) {
            finding = finding.cwe(cwe);
        }
        for address in html::addresses(alert.references) {
            finding = finding.reference(address);
        }
        if !matches!(alert.wasc, "" | "0" | "-1") {
            finding = finding.tag(&format!("wasc:{}", alert.wasc));
        }
        if !alert.reference.is_empty() && alert.reference != alert.plugin {
            finding = finding.extra_text("alert-reference", alert.reference);
        }
        if is_false {
            // somebody's word in ZAP, or its alert filter's
            finding = finding
                .tag("false-positive")
                .suppression("external", "false positive");
        }
        session.emit(tagged(finding, &alert.tags), record)?;
    }
    Ok(())
}

/// Address, method, parameter and evidence; places of other kinds come first.
fn sorted_by(place: &Location) -> [String; 4] {
    let Location::Url(url) = place else {
        return Default::default();
    };
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        url.url.clone(),
        own(&url.method),
        own(&url.parameter),
        own(&url.evidence),
    ]
}

/// `OWASP_2021_A03`, `CWE-79`, `WSTG-v42-INPV-01` and the like.
fn tagged(mut finding: FindingBuilder, tags: &[&str]) -> FindingBuilder {
    for tag in tags {
        let year_first = tag.strip_prefix("OWASP_").and_then(|rest| rest.split_once('_'));
        let listed = year_first.and_then(|(year, entry)| owasp(&format!("{entry}:{year}")));
        finding = match (listed, label(tag)) {
            (Some(listed), _) => finding.tag(&listed),
            (None, Label::Cwe(number)) => finding.cwe(number),
            (None, Label::Cve(id)) => finding.cve(&id),
            (None, Label::Owasp(tag) | Label::Tag(tag)) => finding.tag(&tag),
            (None, Label::Confidence(_)) => finding,
        };
    }
    finding
}

/// Nobody answered.
fn refuse_silence() -> Stop {
    Stop::Broken("the report names no site: ZAP reached none".to_owned())
}
