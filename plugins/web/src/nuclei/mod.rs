//! nuclei's results, 2.x and 3.x: a line each (`-jsonl`), or an array (`-json-export`).
//!
//! Shape: <https://github.com/projectdiscovery/nuclei>, `pkg/output/output.go`, `ResultEvent`; 2.x before
//! 2.3 writes `templateID` and `matched`. What a template extracts may be a secret: that of templates
//! tagged so is redacted.

mod template;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess};
use serde_json::value::RawValue;
use tamiz_sdk::json::lenient::{Field, Lenient, Text, Texts, Whole};
use tamiz_sdk::model::position;
use tamiz_sdk::model::{DomainName, FileLocation, Location, NetworkEndpoint, Severity};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines, path};
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{FindingBuilder, redact};

use crate::place;
use template::{Template, Templates};

const TOOL: &str = "nuclei";

/// Its words.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "nuclei",
    words: &[
        ("critical", Severity::Critical),
        ("high", Severity::High),
        ("medium", Severity::Medium),
        ("low", Severity::Low),
        ("info", Severity::Info),
        ("unknown", Severity::Info),
    ],
};

pub(crate) struct Nuclei;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default, rename = "template-id", alias = "templateID")]
    template: Text<'a>,
    /// The template's; see [`template`].
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "matcher-name", alias = "matcher_name")]
    matcher: Text<'a>,
    #[serde(borrow, default, rename = "extractor-name", alias = "extractor_name")]
    extractor: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    protocol: Text<'a>,
    #[serde(borrow, default)]
    host: Text<'a>,
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default, rename = "matched-at", alias = "matched")]
    matched: Text<'a>,
    #[serde(borrow, default, rename = "extracted-results", alias = "extracted_results")]
    extracted: Texts<'a>,
    #[serde(borrow, default)]
    ip: Text<'a>,
    #[serde(borrow, default, rename = "curl-command", alias = "curl_command")]
    curl: Text<'a>,
    #[serde(default, rename = "matcher-status", alias = "matcher_status")]
    matched_at_all: Field<bool>,
    #[serde(borrow, default)]
    fuzzing_method: Text<'a>,
    #[serde(borrow, default)]
    fuzzing_parameter: Text<'a>,
    #[serde(borrow, default)]
    error: Text<'a>,
    #[serde(default, rename = "matched-line")]
    line: Field<FirstLine>,
}

/// The first of the lines of a file that matched.
struct FirstLine(i64);

impl<'de> Lenient<'de> for FirstLine {
    fn from_seq<A: SeqAccess<'de>>(mut lines: A) -> Result<Field<Self>, A::Error> {
        let first = lines.next_element::<Whole>()?;
        while lines.next_element::<IgnoredAny>()?.is_some() {}
        let number = first.and_then(|number| number.get().copied());
        Ok(number.map_or(Field::Absent, |number| Field::Present(Self(number))))
    }
}

impl Format for Nuclei {
    fn name(&self) -> &'static str {
        "nuclei-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["nuclei"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let line = [
            "template-id",
            "templateID",
            "template-path",
            "info.severity",
            "matched-at",
            "matched",
            "matcher-status",
            "template",
        ];
        let listed = line.map(|key| format!("[].{key}"));
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        (head.count(&line) >= 3 || head.count(&listed) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut templates = Templates::default();
        json_lines(source, session, |session, element| {
            entry(session, element, &mut templates)
        })
    }
}

fn entry(session: &mut Session<'_>, element: Element<'_>, templates: &mut Templates) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let id = entry.template.text();
    let template = match templates.read(id, entry.info, session, &element) {
        Ok(template) => template,
        Err(problem) => {
            let why = format!("could not be read: {problem}");
            session.lose_record("record-unreadable", &element, &why);
            return Ok(());
        }
    };
    element.tell_wrong(
        session,
        &[
            ("template-id", entry.template.is_wrong()),
            ("info", template.is_wrong),
            ("matched-at", entry.matched.is_wrong()),
            ("host", entry.host.is_wrong()),
            ("extracted-results", entry.extracted.is_wrong()),
        ],
    );
    if template.name.is_empty() {
        session.lose_record("record-unreadable", &element, "names no template");
        return Ok(());
    }
    if entry.matched_at_all.get() == Some(&false) {
        let why = match entry.error.text() {
            "" => "tells that a template did not match".to_owned(),
            error => format!("tells that a template could not be tried: {error}"),
        };
        session.leave_out_record("not-matched", &element, &why);
        return Ok(());
    }
    if let Some(raw) = &template.severity_unknown {
        let raw = Some(raw.as_str()).filter(|word| !word.is_empty());
        session.severity(&SEVERITIES, raw, &element);
    }
    let finding = named(template, &entry);
    let mut finding = placed(session, finding, &entry, template.is_secret);
    for (key, value) in [("matcher", entry.matcher.text()), ("ip", entry.ip.text())] {
        if !value.is_empty() {
            finding = finding.extra_text(key, value);
        }
    }
    session.emit(finding, &element)
}

/// A template's finding, with what of the template matched in its title.
fn named(template: &Template, entry: &Entry<'_>) -> FindingBuilder {
    let finding = template.finding.clone();
    let part = match (entry.matcher.text(), entry.extractor.text()) {
        ("", extractor) => extractor,
        (matcher, _) => matcher,
    };
    let (finding, title) = if part.is_empty() {
        (finding, Cow::Borrowed(template.name.as_str()))
    } else {
        let title = format!("{} ({part})", template.name);
        (finding.title(&title), title.into())
    };
    if template.has_message {
        finding
    } else {
        finding.message(&title)
    }
}

/// With its place, and what was extracted there.
fn placed(
    session: &mut Session<'_>,
    finding: FindingBuilder,
    entry: &Entry<'_>,
    is_secret: bool,
) -> FindingBuilder {
    let (finding, evidence) = extracted(session, finding, entry, is_secret);
    let place = location(entry, &evidence);
    if evidence.is_empty() || matches!(place, Location::Url(_)) {
        return finding.location(place);
    }
    // Other places have no room for it.
    finding.location(place).extra_text("extracted", &evidence)
}

/// What was extracted, as evidence: redacted where it is secret.
fn extracted(
    session: &mut Session<'_>,
    finding: FindingBuilder,
    entry: &Entry<'_>,
    is_secret: bool,
) -> (FindingBuilder, String) {
    if !is_secret {
        return (finding, entry.extracted.texts().collect::<Vec<_>>().join("\n"));
    }
    let shown: Vec<_> = entry.extracted.texts().map(redact).collect();
    let first = entry.extracted.texts().next().unwrap_or_default();
    (session.secret(finding, first), shown.join("\n"))
}

fn location(entry: &Entry<'_>, evidence: &str) -> Location {
    let mut texts = [entry.matched.text(), entry.url.text(), entry.host.text()].into_iter();
    let address = texts.find(|text| !text.is_empty()).unwrap_or_default();
    match entry.protocol.text() {
        "dns" | "whois" => Location::Domain(DomainName {
            name: address.trim_end_matches('.').to_owned(),
            record_type: None,
        }),
        "file" => Location::File(FileLocation {
            path: path::label(address, None).path,
            start: position(entry.line.get().map(|line| line.0), None),
            end: None,
            snippet: Some(evidence.to_owned()).filter(|text| !text.is_empty()),
        }),
        "tcp" | "network" | "ssl" | "javascript" if !address.contains("://") => {
            let (host, port) = place::host_and_port(address);
            Location::Endpoint(NetworkEndpoint {
                host,
                port,
                protocol: Some("tcp".to_owned()),
            })
        }
        _ => {
            let method = match entry.fuzzing_method.text() {
                "" => curl_method(entry.curl.text()),
                method => method,
            };
            place::at(address, method, entry.fuzzing_parameter.text(), evidence)
        }
    }
}

/// The method in `curl -X 'GET' …`.
fn curl_method(command: &str) -> &str {
    let Some((_, rest)) = command.split_once("-X ") else {
        return "";
    };
    let word = rest.trim_start_matches('\'');
    word.split(['\'', ' ']).next().unwrap_or_default()
}
