//! Burp Suite's XML of issues, 1.x and later.
//!
//! Shape: the `DOCTYPE` that Burp puts in front of each report;
//! <https://portswigger.net/burp/documentation/desktop/getting-started/generate-reports>. Requests and
//! responses are not taken over: they have the tester's cookies in them. The serial number is that of one
//! export, no identity of the issue.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{Event, Format, Head, Recognition, Session, Source, Stop, XmlRecord, walk};
use tamiz_sdk::vocabulary::{SeverityTable, advisories, cwes};

use crate::{html, place};

const TOOL: &str = "burp";

/// Its words.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "burp",
    words: &[
        ("Critical", Severity::Critical),
        ("High", Severity::High),
        ("Medium", Severity::Medium),
        ("Low", Severity::Low),
        ("Information", Severity::Info),
        ("False positive", Severity::Info),
    ],
};

pub(crate) struct Burp;

impl Format for Burp {
    fn name(&self) -> &'static str {
        "burp-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["burp"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "issues.issue.serialNumber",
            "issues.issue.host",
            "issues.issue.severity",
            "issues.issue.confidence",
        ];
        let named = head.root_attribute("burpVersion").is_some();
        (head.root() == "issues" && (named || head.count(&keys) >= 3)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut reader = source.xml()?;
        walk(&mut reader, session, &["issue"], &[], |session, event| {
            match event {
                Event::Open(node) if node.name() == "issues" => {
                    session.tool_is(TOOL, node.attribute("burpVersion"));
                }
                Event::Open(_) | Event::Close(_) => {}
                Event::Record(record) => return issue(session, &record),
            }
            Ok(())
        })?;
        if session.records() == before {
            let problem = "the report has no issue: nothing says that a target was reached, or which";
            session.gap("no-contact-shown", problem, None);
        }
        Ok(())
    }
}

fn issue(session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
    let node = record.node;
    let text = |name: &str| node.child_text(name);
    let (kind, name, host) = (text("type"), text("name"), text("host"));
    if kind.is_empty() && name.is_empty() {
        session.lose_record("record-unreadable", record, "names no issue");
        return Ok(());
    }
    let (path, place) = (text("path"), text("location"));
    let raw = text("severity");
    let raw = Some(&*raw).filter(|word| !word.is_empty());
    let severity = session.severity(&SEVERITIES, raw, record);
    let confidence = match &*text("confidence") {
        "Certain" => Confidence::High,
        "Firm" => Confidence::Medium,
        "Tentative" => Confidence::Low,
        _ => Confidence::Unknown,
    };
    let background = html::plain(&text("issueBackground"));
    let detail = html::plain(&text("issueDetail"));
    let items = node
        .child("issueDetailItems")
        .into_iter()
        .flat_map(|items| items.children());
    let items: Vec<_> = items.map(|item| html::plain(&item.text())).collect();
    let parts = [detail, items.join("\n"), background];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let solution = [text("remediationDetail"), text("remediationBackground")].map(|text| html::plain(&text));
    let method = node
        .child("requestresponse/request")
        .and_then(|request| request.attribute("method"));
    let url = place::join(&host, &path);
    let mut finding = FindingBuilder::new(TOOL, if kind.is_empty() { &name } else { &kind })
        .rule_name(&name)
        .title(&name)
        .message(&parts.join("\n\n"))
        .severity(severity, raw)
        .confidence(confidence)
        .category("security")
        .remediation(solution.join("\n").trim())
        .location(place::at(&url, method.unwrap_or_default(), parameter(&place), ""));
    for cwe in cwes(&html::plain(&text("vulnerabilityClassifications"))) {
        finding = finding.cwe(cwe);
    }
    for id in parts.iter().flat_map(|part| advisories(part)) {
        finding = finding.cve(id);
    }
    for list in [text("references"), text("vulnerabilityClassifications")] {
        for address in html::addresses(&list) {
            finding = finding.reference(address);
        }
    }
    if raw == Some("False positive") {
        // somebody's word in Burp
        finding = finding
            .tag("false-positive")
            .suppression("external", "false positive");
    }
    session.emit(finding, record)
}

/// The name in `/login [username parameter]`.
fn parameter(location: &str) -> &str {
    let inner = location.rsplit_once('[').map_or("", |(_, inner)| inner);
    let inner = inner.strip_suffix(']').unwrap_or_default();
    inner.strip_suffix(" parameter").unwrap_or_default()
}
